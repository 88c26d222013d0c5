"""Stage ``fetch``: has every clip's media on this machine, or says why not.

Three kinds of trouble are told apart. What is wrong with one clip is a row with a reason. What
passes (a server that is busy) is a row with a reason too, and counted in ``<shard>.tries``, so that
the next run fetches the shard again; the count ends with the trouble, and begins anew with another
list of clips. What the machine lacks (room on the disk) ends the stage.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import stat
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from avca_pipeline import registry
from avca_pipeline.artifacts import fetched, manifest
from avca_pipeline.artifacts.atomic import atomic_write, file_sha256, remove_stale_temporaries
from avca_pipeline.artifacts.fetched import OK, PASSING, REJECTED, TRIES_SUFFIX, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.config import LimitsSettings, checked
from avca_pipeline.datasets import AnyDataset
from avca_pipeline.errors import MAY_PASS, PipelineError, TransientError, machine_trouble
from avca_pipeline.fetching import archives
from avca_pipeline.fetching.youtube import DownloadSettings, Network, check_downloads
from avca_pipeline.media import MediaError
from avca_pipeline.media.container import Probe
from avca_pipeline.media.probing import Prober
from avca_pipeline.runtime.addresses import redacted
from avca_pipeline.runtime.progress import Progress
from avca_pipeline.settings import PluginSettings

logger = logging.getLogger(__name__)


def run(
    plugin: str,
    settings: dict,
    clips: Path,
    raw: Path,
    out: Path,
    network: dict | None = None,
    pack: Path | None = None,
    *,
    limits: dict | None = None,
) -> None:
    """Writes one row for each clip of a shard, in the order of the list.

    Args:
        plugin: of the dataset.
        settings: of the plugin.
        clips: the shard's list of clips.
        raw: where media that are not here yet are put.
        out: the table.
        network: settings of downloads, which change no result.
        pack: archive of what is in ``raw``, for machines that do not see this one's disk.
        limits: settings of what a clip may cost.

    Raises:
        PipelineError: the machine lacks something, or nothing can be downloaded at all.
    """
    module = registry.load("datasets", plugin)
    typed = checked(module.Settings, settings, f"datasets ({plugin})")
    loading = checked(DownloadSettings, network, "download")
    max_bytes = checked(LimitsSettings, limits, "limits").max_bytes
    if module.downloader(typed) == "yt-dlp":
        check_downloads(loading)
    for folder in (raw, out.parent):
        remove_stale_temporaries(folder)
    listed = manifest.read(clips)
    shared = Network(loading, max_bytes)
    rows: list[_Row] = []
    title = f"fetch {clips.stem}"
    locate = functools.partial(_located, module, typed, raw, shared)
    with Progress(title, len(listed), "clips") as progress, Prober() as prober:
        files = _Files(prober, max_bytes)
        for clip, located in _in_order(locate, listed, shared):
            rows.append(_with_place(_row(clip, located, files), module, typed, clip, raw))
            progress.advance()
    table = [row.clip for row in rows]
    if pack is not None:
        media = {row.name: Path(row.path) for row in table if row.status == OK}
        archives.pack({name: path for name, path in media.items() if raw in path.parents}, pack)
    num_passing = sum(row.passes for row in rows)
    tries = out.with_suffix(TRIES_SUFFIX)
    if num_passing:
        _count_try(tries, loading.runs, file_sha256(clips))
    fetched.write(out, table)
    if not num_passing:
        tries.unlink(missing_ok=True)
    rejected = sum(row.status == REJECTED for row in table)
    again = f", {num_passing} of them for now, to be tried again" if num_passing else ""
    logger.info(f"{title}: {len(table) - rejected} clips usable, {rejected} rejected{again}")


@dataclass(frozen=True)
class _Row:
    clip: FetchedClip
    passes: bool = False


def _located(
    module: AnyDataset, typed: PluginSettings, raw: Path, network: Network, clip: Clip
) -> Path:
    """Returns the clip's file, downloaded if it can be; runs beside others of its kind."""
    if clip.reason:
        raise MediaError(clip.reason)
    try:
        return module.locate(typed, clip, raw, network.max_bytes)
    except MediaError:
        if module.downloader(typed) is None:
            raise
    module.download(typed, clip, raw, network)
    return module.locate(typed, clip, raw, network.max_bytes)


def _in_order(
    locate: Callable[[Clip], Path], listed: Sequence[Clip], network: Network
) -> Iterator[tuple[Clip, Callable[[], Path]]]:
    """Yields each clip with what returns its file or raises, while others are on their way."""
    with ThreadPoolExecutor(network.settings.workers) as pool:
        coming = [pool.submit(locate, clip) for clip in listed]
        try:
            for clip, one in zip(listed, coming, strict=True):
                yield clip, one.result
        finally:
            network.stopping.set()
            pool.shutdown(cancel_futures=True)


def _row(clip: Clip, located: Callable[[], Path], files: _Files) -> _Row:
    """Returns the clip's row, whatever goes wrong with it.

    Raises:
        PipelineError: it is not the clip that is to blame.
    """
    state: dict[str, Any] = {}
    passes = False
    try:
        path = located()
        state = {"path": str(path)}
        state = files.state(path)
        return _Row(_usable(clip, files.probe(path), state))
    except MediaError as error:
        reason = str(error)
    except TransientError as error:
        reason, passes = str(error), True
        if reason.split(":")[0] not in PASSING:
            # Once its file is known, nothing is downloaded any more.
            reason = f"{'cannot be read' if state else 'download failed'}: {reason}"
    except PipelineError:
        raise
    except Exception as error:
        if trouble := machine_trouble(error):
            raise PipelineError(f"clip {clip.clip_id!r}: cannot be fetched ({trouble})") from error
        # What surprises us in one clip is one row, not a lost shard.
        passes = isinstance(error, OSError) and error.errno in MAY_PASS
        if not isinstance(error, OSError):
            traceback.print_exc()
        words = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        reason = redacted(f"cannot be read: {words}".splitlines()[0])
    return _Row(FetchedClip(clip.clip_id, REJECTED, reason=reason, **state), passes)


def _with_place(
    row: _Row, module: AnyDataset, typed: PluginSettings, clip: Clip, raw: Path
) -> _Row:
    """Returns a row with the place of its media also where they could not be had from there.

    When the clip is found in another place, such as an archive that was mended, it is tried again.
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
    """What is known of files; several clips may be cut from one."""

    prober: Prober
    max_bytes: int
    states: dict[Path, dict[str, Any]] = field(default_factory=dict)
    probes: dict[Path, Probe | MediaError] = field(default_factory=dict)

    def state(self, path: Path) -> dict[str, Any]:
        """Returns what tells later whether a file is still the one that was looked at.

        Raises:
            MediaError: it is no file, or too large to be read.
            TransientError: somebody is writing it.
            OSError: it cannot be read.
        """
        if path not in self.states:
            self.states[path] = {"path": str(path)} | self._content(path)
        return self.states[path]

    def probe(self, path: Path) -> Probe:
        """Returns what a file holds."""
        if path not in self.probes:
            try:
                self.probes[path] = self.prober.probe(path)
            except MediaError as error:
                self.probes[path] = error
        found = self.probes[path]
        if isinstance(found, MediaError):
            raise found
        return found

    def _content(self, path: Path) -> dict[str, Any]:
        try:
            before = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return {}  # why, is found in opening it
        if not stat.S_ISREG(before.st_mode):
            raise MediaError("not a media file: a folder, pipe, socket or device")
        if before.st_size > self.max_bytes:
            raise MediaError(f"too large: {before.st_size} bytes, and limits.max_bytes is less")
        sha256 = file_sha256(path)
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise TransientError("cannot be read: somebody is writing it")
        return {"size": after.st_size, "modified_ns": after.st_mtime_ns, "sha256": sha256}


def _usable(clip: Clip, found: Probe, state: dict[str, Any]) -> FetchedClip:
    # A damaged header may say that a file lasts less than nothing.
    duration_s = found.duration_s if found.duration_s and found.duration_s > 0 else None
    start_s = clip.start_s or 0.0
    if duration_s is not None and start_s >= duration_s:
        raise MediaError(f"nothing in segment: begins at {start_s:g} s of {duration_s:g} s")
    return FetchedClip(
        clip.clip_id,
        OK,
        duration_s=duration_s,
        fps=found.fps,
        width=found.width,
        height=found.height,
        has_video=found.has_video,
        has_audio=found.has_audio,
        sample_rate_hz=found.sample_rate_hz,
        **state,
    )


def _count_try(path: Path, most: int, of_clips: str) -> None:
    """Counts a run that had trouble which passes; up to the most of it the workflow runs again.

    Args:
        path: of the count.
        most: runs that try again.
        of_clips: digest of the list of clips; what was counted for another one is not added to.
    """
    count = fetched.tries(path, of_clips)
    if most and count <= most:  # one more than it is tried again
        with atomic_write(path) as temporary:
            temporary.write_text(f"{count + 1} {of_clips}\n")
