"""Stage ``fetch``: brings every clip's media to this machine, or records why it cannot.

There are three kinds of trouble:

- One clip is at fault: its row has the reason, and the stage goes on.
- The trouble may pass (a server is busy): the row has the reason too, and the run is counted in
  ``<shard>.tries``, so that the next run fetches the shard again. The count is removed once a run
  has no such trouble, and begins anew with another list of clips.
- The machine lacks something (room on the disk): the stage ends.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import stat
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from avca_pipeline import registry
from avca_pipeline.artifacts import fetched, manifest
from avca_pipeline.artifacts.atomic import atomic_write, file_sha256
from avca_pipeline.artifacts.fetched import OK, PASSING, REJECTED, TRIES_SUFFIX, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.temporary import remove_stale_temporaries
from avca_pipeline.config import validated
from avca_pipeline.datasets import AnyDataset
from avca_pipeline.errors import MAY_PASS, PipelineError, TransientError, machine_trouble
from avca_pipeline.fetching import archives
from avca_pipeline.fetching.whole_videos import DownloadSettings
from avca_pipeline.fetching.youtube import Network, check_downloads
from avca_pipeline.media import MediaError
from avca_pipeline.media.container import Probe
from avca_pipeline.media.probing import Prober
from avca_pipeline.requests import FetchRequest
from avca_pipeline.runtime.addresses import redacted
from avca_pipeline.runtime.progress import Progress
from avca_pipeline.settings import PluginSettings

logger = logging.getLogger(__name__)


def run(
    request: FetchRequest,
    clips: Path,
    raw: Path,
    out: Path,
    network: dict[str, Any] | None = None,
    pack: Path | None = None,
) -> None:
    """Writes one row for each clip of a shard, in the order of the list of clips.

    Args:
        request: the dataset, and the largest size of a file.
        clips: the shard's list of clips.
        raw: folder for media that are downloaded, unpacked or made.
        out: the table.
        network: settings of downloads, which change no result.
        pack: archive of what is in ``raw``, for machines that do not see this one's disk.

    Raises:
        PipelineError: the machine lacks something, or nothing can be downloaded at all.
    """
    module = registry.load("datasets", request.plugin)
    typed = validated(module.Settings, request.settings, f"datasets ({request.plugin})")
    loading = validated(DownloadSettings, network, "download")
    if module.downloader(typed) == "yt-dlp":
        check_downloads(loading)
    for folder in (raw, out.parent):
        remove_stale_temporaries(folder)
    listed = manifest.read(clips)
    shared = Network(loading, request.max_bytes)
    rows: list[_Row] = []
    title = f"fetch {request.shard}"
    locate = functools.partial(_locate_or_download, module, typed, raw, shared)
    with Progress(title, len(listed), "clips") as progress, Prober() as prober:
        files = _Files(prober, request.max_bytes)
        for clip, file in _located_in_order(locate, listed, shared):
            row = _fetch_clip(clip, file, files)
            rows.append(_with_path(row, module, typed, clip, raw))
            progress.advance()
    table = [row.clip for row in rows]
    if pack is not None:
        media = {row.name: Path(row.path) for row in table if row.status == OK}
        archives.pack({name: path for name, path in media.items() if raw in path.parents}, pack)
    num_to_repeat = sum(row.may_pass for row in rows)
    tries = out.with_suffix(TRIES_SUFFIX)
    # A job that is killed between the two leaves no table of rejected clips without a count.
    if num_to_repeat:
        _count_run(tries, loading.runs, file_sha256(clips))
    fetched.write(out, table)
    if not num_to_repeat:
        tries.unlink(missing_ok=True)
    status = Counter(row.status for row in table)
    again = f", {num_to_repeat} of them for now, to be tried again" if num_to_repeat else ""
    logger.info(f"{title}: {status[OK]} clips usable, {status[REJECTED]} rejected{again}")
    if num_silent := sum(row.status == OK and not row.has_audio for row in table):
        logger.warning(f"{title}: {num_silent} of the usable clips have no sound")


@dataclass(frozen=True)
class _Row:
    """A clip's row, and whether a later run may find the clip usable."""

    clip: FetchedClip
    may_pass: bool = False


def _locate_or_download(
    module: AnyDataset, typed: PluginSettings, raw: Path, network: Network, clip: Clip
) -> Path:
    """Returns the clip's file, downloaded if need be; several threads call this at once.

    Raises:
        MediaError: why there never will be one.
        TransientError: why there is none for now.
    """
    if clip.reason:
        raise MediaError(clip.reason)
    try:
        return module.locate(typed, clip, raw, network.max_bytes)
    except MediaError:
        if module.downloader(typed) is None:
            raise
    module.download(typed, clip, raw, network)
    return module.locate(typed, clip, raw, network.max_bytes)


def _located_in_order(
    locate: Callable[[Clip], Path], listed: Sequence[Clip], network: Network
) -> Iterator[tuple[Clip, Future[Path]]]:
    """Yields each clip with the result of `locate` to come, while threads locate the next ones."""
    with ThreadPoolExecutor(network.settings.workers) as pool:
        futures = [pool.submit(locate, clip) for clip in listed]
        try:
            yield from zip(listed, futures, strict=True)
        finally:
            network.stopping.set()
            pool.shutdown(cancel_futures=True)


def _fetch_clip(clip: Clip, file: Future[Path], files: _Files) -> _Row:
    """Waits for the clip's file and returns the clip's row, also if something is wrong with it.

    Raises:
        PipelineError: the clip is not at fault.
    """
    state: dict[str, Any] = {}
    may_pass = False
    try:
        path = file.result()
        state = {"path": str(path)}
        state = files.state(path)
        return _Row(_usable(clip, files.probe(path), state))
    except MediaError as error:
        reason = str(error)
    except TransientError as error:
        reason, may_pass = str(error), True
        if reason.split(":")[0] not in PASSING:
            # Once its file is known, nothing is downloaded any more.
            reason = f"{'cannot be read' if state else 'download failed'}: {reason}"
    except PipelineError:
        raise
    except Exception as error:
        if trouble := machine_trouble(error):
            raise PipelineError(f"clip {clip.clip_id!r}: cannot be fetched ({trouble})") from error
        # An unexpected error in one clip must not lose the whole shard.
        may_pass = isinstance(error, OSError) and error.errno in MAY_PASS
        if not isinstance(error, OSError):
            traceback.print_exc()
        words = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        reason = redacted(f"cannot be read: {words}".splitlines()[0])
    return _Row(FetchedClip(clip.clip_id, REJECTED, reason=reason, **state), may_pass)


def _with_path(row: _Row, module: AnyDataset, typed: PluginSettings, clip: Clip, raw: Path) -> _Row:
    """Returns a row that has the path of its media even if they could not be unpacked from there.

    A clip that is later found at another path, as in an archive that was repaired, is fetched
    again.
    """
    if row.clip.path:
        return row
    with contextlib.suppress(PipelineError, OSError):
        path = module.find(typed, clip, raw)
        if path is not None:
            return replace(row, clip=replace(row.clip, path=str(path)))
    return row


@dataclass
class _Files:
    """The files that have been looked at, each once: several clips may be cut from one file."""

    prober: Prober
    max_bytes: int
    states: dict[Path, dict[str, Any]] = field(default_factory=dict)
    probes: dict[Path, Probe | MediaError] = field(default_factory=dict)

    def state(self, path: Path) -> dict[str, Any]:
        """Returns size, time of change and SHA-256: a later stage compares them with the file.

        Raises:
            MediaError: the path leads to no file, or to one that is too large.
            TransientError: another process is writing the file.
            OSError: the file cannot be read.
        """
        if path not in self.states:
            self.states[path] = {"path": str(path)} | self._content(path)
        return self.states[path]

    def probe(self, path: Path) -> Probe:
        """Returns the properties of a file's streams.

        Raises:
            MediaError: the file is no media file, or damaged.
        """
        if path not in self.probes:
            try:
                self.probes[path] = self.prober.probe(path)
            except MediaError as error:
                self.probes[path] = error
        probe = self.probes[path]
        if isinstance(probe, MediaError):
            raise probe
        return probe

    def _content(self, path: Path) -> dict[str, Any]:
        try:
            before = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return {}  # Opening the file will say what is wrong.
        if not stat.S_ISREG(before.st_mode):
            raise MediaError("not a media file: a folder, pipe, socket or device")
        if before.st_size > self.max_bytes:
            raise MediaError(f"too large: {before.st_size} bytes, and limits.max_bytes is less")
        sha256 = file_sha256(path)
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise TransientError("cannot be read: somebody is writing it")
        return {"size": after.st_size, "modified_ns": after.st_mtime_ns, "sha256": sha256}


def _usable(clip: Clip, probe: Probe, state: dict[str, Any]) -> FetchedClip:
    # A damaged header may announce a negative duration.
    duration_s = probe.duration_s if probe.duration_s and probe.duration_s > 0 else None
    start_s = clip.start_s or 0.0
    if duration_s is not None and start_s >= duration_s:
        raise MediaError(f"nothing in segment: begins at {start_s:g} s of {duration_s:g} s")
    return FetchedClip(
        clip.clip_id,
        OK,
        duration_s=duration_s,
        fps=probe.fps,
        width=probe.width,
        height=probe.height,
        has_video=probe.has_video,
        has_audio=probe.has_audio,
        sample_rate_hz=probe.sample_rate_hz,
        **state,
    )


def _count_run(path: Path, max_repeats: int, clips_sha256: str) -> None:
    """Counts a run that had trouble which may pass.

    The workflow repeats the job as long as the count is at most ``max_repeats``; so the count goes
    one beyond.

    Args:
        path: of the count.
        max_repeats: number of later runs that try again.
        clips_sha256: of the list of clips; a count for another list is not added to.
    """
    count = fetched.tries(path, clips_sha256)
    if max_repeats and count <= max_repeats:
        with atomic_write(path) as temporary:
            temporary.write_text(f"{count + 1} {clips_sha256}\n")
