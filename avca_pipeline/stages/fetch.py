"""Stage ``fetch``: has every clip's media on this machine, or says why not."""

from __future__ import annotations

import hashlib
from pathlib import Path

from avca_pipeline import registry
from avca_pipeline.artifacts import fetched, manifest
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.config import checked
from avca_pipeline.media import MediaError
from avca_pipeline.media.container import Probe, probe
from avca_pipeline.progress import Progress, say


def run(plugin: str, settings: dict, clips: Path, raw: Path, out: Path) -> None:
    """Writes one row for each clip of a shard, in the order of the list.

    Args:
        plugin: of the dataset.
        settings: of the plugin.
        clips: the shard's list of clips.
        raw: where media that are not here yet are put.
        out: the table.
    """
    module = registry.load("datasets", plugin)
    typed = checked(module.Settings, settings, f"datasets ({plugin})")
    listed = manifest.read(clips)
    known: dict[Path, tuple[Probe, str]] = {}
    rows = []
    with Progress(f"fetch {clips.stem}", len(listed), "clips") as progress:
        for clip in listed:
            try:
                path = module.locate(typed, clip, raw)
                if path not in known:  # several clips may be cut from one file
                    known[path] = probe(path), _sha256(path)
                rows.append(_usable(clip.clip_id, path, *known[path]))
            except MediaError as error:
                rows.append(FetchedClip(clip.clip_id, REJECTED, reason=str(error)))
            progress.advance()
    fetched.write(out, rows)
    rejected = sum(row.status == REJECTED for row in rows)
    say(f"fetch {clips.stem}: {len(rows) - rejected} clips usable, {rejected} rejected")


def _usable(clip_id: str, path: Path, found: Probe, sha256: str) -> FetchedClip:
    return FetchedClip(
        clip_id,
        OK,
        path=str(path),
        duration_s=found.duration_s,
        fps=found.fps,
        width=found.width,
        height=found.height,
        has_video=found.has_video,
        has_audio=found.has_audio,
        sample_rate_hz=found.sample_rate_hz,
        sha256=sha256,
    )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
