"""Finds the results that have to be made anew."""

from __future__ import annotations

import functools
import json
import stat
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from avca_pipeline.artifacts import fetched, manifest, records
from avca_pipeline.artifacts.features import AWAY_SUFFIX
from avca_pipeline.artifacts.fetched import OK, PASSING, TRIES_SUFFIX, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.records import CONTENT, Record
from avca_pipeline.config.entries import DatasetEntry
from avca_pipeline.datasets import defaults
from avca_pipeline.errors import PipelineError
from avca_pipeline.planning.differences import differences
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.job import Job
from avca_pipeline.planning.jobs import Jobs
from avca_pipeline.runtime.sealing import sealed

NO_FILE = ("missing file", "not a media file")
"""Reasons of clips of which no file was read."""
OTHER_RECIPE = "made with other settings or from other files"
OTHER_FILES = "the clips, or the files that the config names, have changed"
READS_STALE = "reads results that are made anew"
MAX_LINES = 20


@dataclass
class Staleness:
    """What has to be made anew.

    Attributes:
        because_of: path of a result to the reason why it is out of date.
        causes: rule and reason to how many results of the rule are out of date for this reason;
            without those that only read results that are out of date.
        perhaps: results that are up to date, but are made from those. They stay as they are if
            what they are made from turns out to be the same.
    """

    because_of: dict[str, str] = field(default_factory=dict)
    causes: Counter[tuple[str, str]] = field(default_factory=Counter)
    perhaps: set[str] = field(default_factory=set)

    @functools.cached_property
    def paths(self) -> set[str]:
        """Paths of all these results, computed once: for use after the last change."""
        return {*self.because_of, *self.perhaps}

    def summary(self) -> list[str]:
        """Returns one line for each cause, such as the key of the config that has changed."""
        lines = [
            f"{rule}: {number} result{'s' if number > 1 else ''} to be made anew: {reason}"
            for (rule, reason), number in self.causes.items()
        ]
        num_more = len(lines) - MAX_LINES
        return [*lines[:MAX_LINES], *([f"… and {num_more} more causes"] if num_more > 0 else [])]


def staleness(jobs: Jobs, forced: Collection[str] = ()) -> Staleness:
    """Compares all results of a config with their records.

    Args:
        jobs: of the config.
        forced: rules and paths that the user wants to be made anew.
    """
    results = Path(jobs.config.results)
    stale = Staleness()
    digest_of: dict[str, str] = {}  # path to the digest that it has or is going to have
    for job in jobs:
        record_of = {path: records.read(results, results / path) for path in job.outputs}
        digest_of |= {
            path: record.digest for path, record in record_of.items() if record is not None
        }
        reason = _reason(job, record_of, digest_of, results, jobs.digests)
        reads_stale = _reads_any(job, stale)
        if not any((results / path).exists() for path in job.outputs):
            # There is nothing to make anew, but what was made of it may be out of date.
            if job.rule != "manifest" and (reason or reads_stale):
                stale.perhaps |= set(job.outputs)
            continue
        if any(_is_asked_for(job, results, name) for name in forced):
            reason = "asked for"
        if reason == OTHER_RECIPE:
            reason = _what_differs(job, record_of, reads_stale=reads_stale)
        reason = reason or _outside_reason(job, results, jobs)
        if reason:
            if reason != READS_STALE:
                stale.causes[job.rule, reason] += 1
            stale.because_of |= dict.fromkeys(job.outputs, reason)
        elif reads_stale:
            stale.perhaps |= set(job.outputs)
    return stale


def _outside_reason(job: Job, results: Path, jobs: Jobs) -> str:
    """Returns why media make a job's results out of date, or nothing."""
    if job.rule == "fetch":
        dataset, _ = job.names
        return _media(results / job.outputs[0], jobs.config.datasets[dataset], jobs)
    if job.rule == "extract":
        return _back(results / job.outputs[0])
    return ""


def _reads_any(job: Job, stale: Staleness) -> bool:
    """Returns whether a job reads a result that is or may be out of date."""
    return any(
        file.path in stale.because_of or file.path in stale.perhaps
        for files in job.inputs.values()
        for file in files
        if not file.recipe.startswith(CONTENT)
    )


def _is_asked_for(job: Job, results: Path, name: str) -> bool:
    # Another workflow may have put its own prefix before the names of our rules.
    is_rule = name == job.rule or name.endswith(f"_{job.rule}")
    return is_rule or any(Path(name) == results / path for path in job.outputs)


def _reason(
    job: Job,
    record_of: dict[str, Record | None],
    digest_of: dict[str, str],
    results: Path,
    digests: Digests,
) -> str:
    """Returns why what a job has made is out of date, or nothing."""
    if job.contents:
        return _reason_of_known_content(job, record_of, results, digests)
    for path, record in record_of.items():
        place = results / path
        if record is None:
            if place.exists():
                return f"{path} has no record"
            continue
        if record.recipe != job.recipe:
            return OTHER_RECIPE
        if place.is_file() and _digest(place, digests) != record.digest:
            return f"{path} was changed"
        for source, digest in record.inputs.items():
            if digest_of.get(source, digest) != digest:
                return f"{source} has changed"
    return ""


def _reason_of_known_content(
    job: Job, record_of: dict[str, Record | None], results: Path, digests: Digests
) -> str:
    """Returns why files whose content is known before they are made are out of date, or nothing.

    They are made anew for another request as well: Snakemake would do so, without naming the key.
    """
    main, *_ = job.outputs
    record = record_of[main]
    if record is None:
        return f"{main} has no record"
    now, _ = sealed(json.loads(job.settings))
    if words := differences(record.request, now):
        return words
    for path, digest in job.contents.items():
        of_list = record_of[path] or Record("")
        is_whole = _digest(results / path, digests) == of_list.digest
        if of_list.recipe != CONTENT + digest or not is_whole:
            return f"{path} has another content"
    return ""


def _what_differs(job: Job, record_of: dict[str, Record | None], *, reads_stale: bool) -> str:
    """Returns why the recipe of a job differs from that of its existing results."""
    now, _ = sealed(json.loads(job.settings))
    for record in record_of.values():
        if record is not None and record.recipe != job.recipe:
            if not record.request:
                return "made by an earlier release"
            if words := differences(record.request, now):
                return words
    return READS_STALE if reads_stale else OTHER_FILES


def _digest(place: Path, digests: Digests) -> str:
    """Returns the digest of a result; an empty text if it cannot be read."""
    try:
        return digests.of(place)
    except OSError:
        return ""


def _media(table: Path, entry: DatasetEntry, jobs: Jobs) -> str:
    """Returns why the media of a shard have to be looked at again, or nothing."""
    if not table.exists():
        return ""
    try:
        rows = fetched.read(table)
    except PipelineError as error:
        return str(error)
    clips = _listed(table, entry)
    raw = Path(jobs.config.results, entry.name, "raw")
    is_tried_again = 0 < fetched.tries(table.with_suffix(TRIES_SUFFIX)) <= jobs.config.download.runs
    for row in rows:
        if is_tried_again and row.status != OK and row.reason.split(":")[0] in PASSING:
            return f"{row.clip_id} is tried again"
        if row.clip_id in clips and _is_elsewhere(row, clips[row.clip_id], entry, raw):
            return f"the media of {row.clip_id} is another file now"
        if row.path and not _is_same(row, jobs):
            return f"{row.path} has changed"
    return ""


def _listed(table: Path, entry: DatasetEntry) -> dict[str, Clip]:
    """Returns the clips of a shard by their ids, where the dataset finds media anew in each run."""
    if entry.module.find is defaults.find:
        return {}
    try:
        # The list says what the annotations say now, or else the shard is out of date anyway.
        clips = manifest.read(table.parent.with_name("shards") / table.name)
    except PipelineError:  # it will be made anew
        return {}
    return {clip.clip_id: clip for clip in clips}


def _is_elsewhere(row: FetchedClip, clip: Clip, entry: DatasetEntry, raw: Path) -> bool:
    """Returns whether a clip that is found by its name is in another place now.

    A clip that is not found any more changes nothing.
    """
    try:
        path = entry.module.find(entry.settings, clip, raw)
    except (PipelineError, OSError):  # its disk is not mounted
        return False
    return path is not None and str(path) != row.path


def _back(shard: Path) -> str:
    """Returns which file is there again that was away when a shard was extracted, or nothing."""
    try:
        paths = shard.with_suffix(AWAY_SUFFIX).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((f"{path} is back" for path in paths if _is_there(Path(path))), "")


def _is_there(path: Path) -> bool:
    """Returns whether a file can be seen; on a network drive that has gone none can."""
    try:
        return path.exists()
    except OSError:
        return False


def _is_same(row: FetchedClip, jobs: Jobs) -> bool:
    """Returns whether a file is as it was when it was fetched.

    A file that is gone changes nothing: its features exist, or extraction asks for it.
    """
    try:
        if row.size is not None:
            return fetched.is_unchanged(row, jobs.digests.of)
        status = Path(row.path).stat()
    except OSError:
        return True
    if row.reason.startswith("too large"):
        return status.st_size > jobs.config.limits.max_bytes
    return not (row.reason.startswith(NO_FILE) and stat.S_ISREG(status.st_mode))
