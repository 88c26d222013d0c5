"""``records/<path of a result>.json``: the settings and the inputs that a result was made with.

Dates cannot tell whether a result is up to date: copying changes them, and clocks differ. A record
states the recipe of a result, which is a digest of all settings behind it, and the digest of each
file that was read. A result without a record, or with another recipe than the config's, is not
used.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts import clip_lists, fetched
from avca_pipeline.artifacts.atomic import atomic_write, file_sha256
from avca_pipeline.errors import PipelineError

FOLDER = "records"
KEPT = ".kept"
"""Folder of the results that are kept, among the records: no dataset can have its name."""
CONTENT = "content:"
"""Begins the recipe of a list of clips, which is what the list says: see `clip_lists`."""


@dataclass(frozen=True)
class Record:
    """How one result was made.

    Attributes:
        recipe: digest of all settings behind the result.
        inputs: path within the results to the digest of each result that was read.
        digest: of the result; empty for a folder.
        request: what the stage was asked for, to say later which key has changed; secrets of
            addresses are not in it.
        made: when, where and at what cost it was made, for people: `runtime.circumstances`.
    """

    recipe: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """What a job is told of its own result and of the results that it reads.

    Attributes:
        results: the folder of all results.
        recipe: of what the job makes.
        inputs: option of the command to the joint recipe of its files, see `joint`.
    """

    results: Path
    recipe: str
    inputs: Mapping[str, str]

    @classmethod
    def from_json(cls, text: str) -> Expected:
        """Reads what `to_json` wrote."""
        content = json.loads(text)
        return cls(Path(content["results"]), content["recipe"], content["inputs"])

    def to_json(self) -> str:
        """Returns the same as one line of JSON."""
        return json.dumps(asdict(self) | {"results": str(self.results)}, sort_keys=True)

    def check(self, files: Mapping[str, list[Path]]) -> dict[str, str]:
        """Returns the digest of each file, by its path within the results.

        Args:
            files: option of the command to its files.

        Raises:
            PipelineError: a file was made with other settings than the config's, or was changed
                since. A job of an earlier run that ended late leaves such a file.
        """
        digests: dict[str, str] = {}
        for option, paths in files.items():
            recipes = []
            for path in paths:
                recipe, digest = self._state(path)
                recipes.append(recipe)
                digests[within(self.results, path)] = digest
            if joint(recipes) != self.inputs[option]:
                which = str(paths[0]) if len(paths) == 1 else f"a file beside {paths[0]}"
                raise PipelineError(
                    f"{which}: it was made with other settings or from other clips than the "
                    "config's, perhaps by a job of an earlier run that ended late; run the same "
                    "command again"
                )
        return digests

    def write(
        self,
        outputs: Iterable[Path],
        inputs: Mapping[str, str],
        request: Mapping[str, Any] | None = None,
        made: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes the record of each result that a job has made.

        Args:
            outputs: files or folders.
            inputs: what `check` returned.
            request: what the stage was asked for, without secrets.
            made: the circumstances; without them those of the record that is there stay.
        """
        for path in outputs:
            digest = digest_of(path) if path.is_file() else ""
            before = read(self.results, path) if made is None else None
            how = made or (before.made if before else {})
            recipe = recipe_of_list(path) or self.recipe
            write(self.results, path, Record(recipe, inputs, digest, request or {}, how))

    def keep(self, outputs: Iterable[Path], inputs: Mapping[str, str]) -> bool:
        """Puts kept results back if they were made from the same inputs; returns whether it did.

        Args:
            outputs: what the job makes.
            inputs: what `check` returned.
        """
        places = {path: kept(self.results, path) for path in outputs}
        for path, place in places.items():
            record = read(self.results, path)
            if record is None or (record.recipe, record.inputs) != (self.recipe, inputs):
                return False
            if not place.is_file() or record.digest != digest_of(place):
                return False
        for path, place in places.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            place.replace(path)
        return True

    def _state(self, path: Path) -> tuple[str, str]:
        """Returns the recipe that a file was made with, if that is known, and its digest."""
        try:
            digest = digest_of(path)
        except OSError as error:
            raise PipelineError(f"{path}: cannot be read ({error.strerror})") from error
        record = read(self.results, path)
        if record is not None and record.digest == digest:
            return record.recipe, digest
        return "", digest


def recipe_of_list(path: Path) -> str:
    """Returns what readers know a list of clips by; nothing for other files."""
    is_list = path.suffix == ".csv" and path.is_file() and clip_lists.is_one(path)
    return CONTENT + clip_lists.of_file(path) if is_list else ""


def write_lists(results: Path, paths: Iterable[Path]) -> None:
    """Writes the record of each of several lists of clips."""
    for path in paths:
        write(results, path, Record(recipe_of_list(path), digest=digest_of(path)))


def joint(recipes: Iterable[str]) -> str:
    """Returns one digest of several recipes in their order; of one recipe the recipe itself."""
    listed = list(recipes)
    return listed[0] if len(listed) == 1 else digest_of_text("\n".join(listed))


def digest_of_text(text: str) -> str:
    """Returns the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def digest_of(path: Path) -> str:
    """Returns the SHA-256 of what a file says.

    The dates of media in a table of fetched clips do not count.
    """
    if path.suffix == ".csv" and fetched.is_one(path):
        with contextlib.suppress(ValueError, csv.Error):  # damaged: its bytes tell that
            return digest_of_text(fetched.without_dates(path))
    return file_sha256(path)


def within(results: Path, path: Path) -> str:
    """Returns a path within the folder of results; another path as it is."""
    try:
        return path.relative_to(results).as_posix()
    except ValueError:
        return str(path)


def path_of(results: Path, path: Path) -> Path:
    """Returns where the record of a result is."""
    return results / FOLDER / f"{within(results, path)}.json"


def kept(results: Path, path: Path) -> Path:
    """Returns where a result is kept while it is not known whether it has to be made anew."""
    return results / FOLDER / KEPT / within(results, path)


def keep(results: Path, paths: Iterable[str], *, only_copies_too: bool = False) -> None:
    """Keeps results by a second name, and forgets the results that were kept before.

    Where a file system has no second names, these results are made anew.

    Args:
        results: the folder of all results.
        paths: of the results to keep, within that folder.
        only_copies_too: whether to go on keeping results that have no other name any more:
            Snakemake has removed them, because the job that made them did not end well.
    """
    folder = results / FOLDER / KEPT
    if not only_copies_too:
        shutil.rmtree(folder, ignore_errors=True)
    for place in [path for path in folder.rglob("*") if path.is_file()]:
        if (results / place.relative_to(folder)).exists():
            place.unlink(missing_ok=True)
    keep_more(results, paths)


def keep_more(results: Path, paths: Iterable[str]) -> None:
    """Keeps results by a second name, beside those that were kept before."""
    for path in paths:
        place = kept(results, results / path)
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            os.link(results / path, place)


def put_back(results: Path, paths: Iterable[str]) -> None:
    """Puts kept results back that are whole and have no other name any more.

    Args:
        results: the folder of all results.
        paths: of the results, within that folder.
    """
    for path in paths:
        whole, place = results / path, kept(results, results / path)
        record = read(results, whole)
        if whole.exists() or record is None:
            continue
        with contextlib.suppress(OSError):
            if record.digest == digest_of(place):
                whole.parent.mkdir(parents=True, exist_ok=True)
                place.replace(whole)


def write(results: Path, path: Path, record: Record) -> None:
    """Writes the record of a result."""
    with atomic_write(path_of(results, path)) as temporary:
        temporary.write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")


def read(results: Path, path: Path) -> Record | None:
    """Returns the record of a result; ``None`` without a record that can be used."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        content: Any = json.loads(path_of(results, path).read_text(encoding="utf-8"))
        record = Record(**content)
        if all(isinstance(of, dict) for of in (record.inputs, record.request, record.made)):
            return record
    return None
