"""Stage ``fetch``: has every clip's media on this machine, or says why not."""

from __future__ import annotations

import contextlib
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from avca_pipeline import library, registry
from avca_pipeline.artifacts import fetched, manifest
from avca_pipeline.artifacts.atomic import file_sha256, sweep
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.config import checked
from avca_pipeline.downloads import DownloadSettings
from avca_pipeline.downloads import check as check_downloads
from avca_pipeline.media import MediaError
from avca_pipeline.media.container import Probe, probe
from avca_pipeline.progress import Progress, say


def run(
    plugin: str,
    settings: dict,
    clips: Path,
    raw: Path,
    out: Path,
    network: dict | None = None,
    pack: Path | None = None,
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
    """
    module = registry.load("datasets", plugin)
    typed = checked(module.Settings, settings, f"datasets ({plugin})")
    loading = checked(DownloadSettings, network, "download")
    downloads = getattr(typed, "download", False)
    if downloads:
        check_downloads(loading)
    for folder in (raw, out.parent):
        sweep(folder)
    listed = manifest.read(clips)
    probed: dict[Path, Probe] = {}  # several clips may be cut from one file
    states: dict[Path, dict[str, Any]] = {}

    def row(clip: Clip) -> FetchedClip:
        state: dict[str, Any] = {}
        try:
            try:
                path = module.locate(typed, clip, raw)
            except MediaError:
                if not downloads:
                    raise
                module.download(typed, clip, raw, loading)
                path = module.locate(typed, clip, raw)
            if path not in states:
                states[path] = _state(path)
            state = states[path]
            if path not in probed:
                probed[path] = probe(path)
            return _usable(clip, probed[path], state)
        except MediaError as error:
            return FetchedClip(clip.clip_id, REJECTED, reason=str(error), **state)

    rows = []
    workers = loading.workers if downloads else 1
    title = f"fetch {clips.stem}"
    with Progress(title, len(listed), "clips") as progress, ThreadPoolExecutor(workers) as pool:
        for done in pool.map(row, listed):
            rows.append(done)
            progress.advance()
    if pack is not None:
        media = {row.name: Path(row.path) for row in rows if row.status == OK}
        library.pack({name: path for name, path in media.items() if raw in path.parents}, pack)
    fetched.write(out, rows)
    rejected = sum(row.status == REJECTED for row in rows)
    say(f"{title}: {len(rows) - rejected} clips usable, {rejected} rejected")


def _state(path: Path) -> dict[str, Any]:
    """Returns what tells later whether a file is still the one that was looked at."""
    state: dict[str, Any] = {"path": str(path)}
    with contextlib.suppress(OSError):  # no such file: the reason why is found in opening it
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            state |= {"size": status.st_size, "modified_ns": status.st_mtime_ns}
            state["sha256"] = file_sha256(path)
    return state


def _usable(clip: Clip, found: Probe, state: dict[str, Any]) -> FetchedClip:
    if found.duration_s is not None and (clip.start_s or 0.0) >= found.duration_s:
        raise MediaError(
            f"nothing in segment: begins at {clip.start_s:g} s of {found.duration_s:g} s"
        )
    return FetchedClip(
        clip.clip_id,
        OK,
        duration_s=found.duration_s,
        fps=found.fps,
        width=found.width,
        height=found.height,
        has_video=found.has_video,
        has_audio=found.has_audio,
        sample_rate_hz=found.sample_rate_hz,
        **state,
    )
