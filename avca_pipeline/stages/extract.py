"""Stage ``extract``: turns the clips of a shard into features of one backbone.

Decode workers run ahead of the network; windows of different clips share a batch; each window's
features go back to its clip. Memory is bounded by the workers' slots, whatever the length of a
clip. Batches always have the same size, the last one is filled up, so that a clip's features do
not depend on its neighbours. While a GPU works on a batch the next one is filled.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avca_pipeline import registry
from avca_pipeline.artifacts import features, fetched, manifest
from avca_pipeline.artifacts.atomic import atomic_write, remove_stale_temporaries
from avca_pipeline.artifacts.features import AWAY_SUFFIX, Features
from avca_pipeline.artifacts.fetched import OK, FetchedClip
from avca_pipeline.backbones import AnyBackbone, MediaSegment, Spec
from avca_pipeline.config import LimitsSettings, canonical, checked
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.fetching import archives
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.media.notes import Notes
from avca_pipeline.media.workers import DecodedWindow, DecodePool, RestartedClip
from avca_pipeline.runtime.addresses import redacted
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.runtime.progress import Progress

logger = logging.getLogger(__name__)

BATCHES_AHEAD = 2
AWAY = "missing file: it was there when it was fetched; it is taken in when it is back"


@dataclass
class EncodedClip:
    """One clip on its way: where its media is, and what has come of it."""

    clip_id: str
    media: MediaSegment
    sha256: str = ""
    attempt: int = 0
    total: np.ndarray | None = None
    windows: list[np.ndarray] = field(default_factory=list)
    num_decoded: int = 0
    num_windows: int = 0
    is_padded: bool = False
    notes: Notes = field(default_factory=Notes)
    reason: str = ""

    def restart(self) -> None:
        """Forgets what has been seen of the clip; what is still on its way will not count."""
        self.attempt += 1
        self.total, self.num_decoded, self.num_windows = None, 0, 0
        self.windows.clear()

    def add(self, attempt: int, row: np.ndarray, keep_windows: bool) -> None:
        """Adds the features of a window that was decoded in an attempt."""
        if attempt != self.attempt:
            return
        if not np.isfinite(row).all():
            self.reason = "damaged: its features are not finite"
            return
        wide = row.astype(np.float64)
        self.total = wide if self.total is None else self.total + wide
        self.num_windows += 1
        if keep_windows:
            self.windows.append(row)


def run(
    plugin: str,
    settings: dict,
    limits: dict,
    clips: Path,
    table: Path,
    out: Path,
    *,
    cache: Path,
    device: str,
    workers: int,
    media: Path | None = None,
    keep_windows: bool = False,
) -> None:
    """Writes the features of a shard's usable clips and why the others have none.

    Args:
        plugin: of the backbone.
        settings: of the plugin.
        limits: settings of what a clip may cost.
        clips: the shard's list of clips.
        table: the shard's table of fetched media.
        out: the features.
        cache: where downloaded weights are kept.
        device: ``cpu`` or ``cuda``.
        workers: how many clips are decoded at a time.
        media: archive that ``fetch`` packed on a machine whose disk this one does not see.
        keep_windows: keep the features of every window, not only their mean.

    Raises:
        PipelineError: the weights are missing, wrong or damaged, or a table or the archive is; or
            a file has another content than when it was fetched, or all files are away.
    """
    module = registry.load("backbones", plugin)
    typed = checked(module.Settings, settings, f"backbones ({plugin})")
    bounds = checked(LimitsSettings, limits, "limits").limits()
    title = f"extract {out.parent.name} {clips.stem}"
    spec: Spec = module.spec(typed)
    remove_stale_temporaries(out.parent)
    unpacking: contextlib.AbstractContextManager[dict[str, Path]] = contextlib.nullcontext({})
    if media is not None:
        unpacking = archives.unpacked(media, out.parent)
    with unpacking as moved:
        todo, found = _usable_clips(clips, table, moved)
        away = fetched.away(found)
        present = [clip for clip in todo if clip.clip_id not in away]
        pool = DecodePool(
            functools.partial(module.windows, typed, limits=bounds),
            [clip.media for clip in present],
            spec.window_shape,
            spec.window_dtype,
            num_workers=workers,
            num_slots=BATCHES_AHEAD * module.BATCH_WINDOWS[device],
        )
        with pool, Progress(title, len(present), "clips") as progress:
            # The workers are at work by now: a GPU may only be asked once they are forked.
            check_precision(typed.precision, device)
            network, weights = module.build(typed, cache)
            encoder = Encoder(module, typed, spec, network, device, keep_windows)
            for item in pool.events():
                clip = present[item.job]
                if isinstance(item, DecodedWindow):
                    encoder.put(clip, item.data, item.num_valid)
                elif isinstance(item, RestartedClip):
                    clip.restart()
                else:
                    clip.reason = clip.reason or item.reason
                    clip.notes = item.notes
                    progress.advance(note=clip.clip_id)
            encoder.flush()
        # A disk may go away, and a file be replaced, meanwhile.
        gone = fetched.away(found)
        away |= {clip.clip_id: gone[clip.clip_id] for clip in present if clip.clip_id in gone}
    for clip in todo:
        if clip.clip_id in away:
            clip.reason = AWAY
    _note_away(out, sorted(set(away.values())))
    attributes = {
        "backbone": plugin,
        "weights": weights,
        "preprocessing": redacted(canonical(settings)),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("torch", "av", "numpy")},
    }
    value = _gather(todo, attributes, keep_windows)
    features.write(out, value)
    logger.info(f"{title}: {len(value.clip_ids)} clips, {len(value.rejected)} rejected")


def _note_away(out: Path, paths: Sequence[str]) -> None:
    """Writes down which files were away; the workflow extracts again when one of them is back."""
    note = out.with_suffix(AWAY_SUFFIX)
    if not paths:
        note.unlink(missing_ok=True)
        return
    with atomic_write(note) as temporary:
        temporary.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")


def _usable_clips(
    clips: Path, table: Path, moved: Mapping[str, Path]
) -> tuple[list[EncodedClip], list[FetchedClip]]:
    """Returns the clips to decode, and the rows of those whose files lie where they were fetched.

    Args:
        clips: list of clips.
        table: of fetched media.
        moved: where files from the archive of another machine are, by name.
    """
    rows = {row.clip_id: row for row in fetched.read(table)}
    listed = manifest.read(clips)
    for clip in listed:
        if clip.clip_id not in rows:
            raise FormatError(
                f"{table}: has no row for clip {clip.clip_id!r}; delete the file and run again to "
                "rebuild it"
            )
    usable = [clip for clip in listed if rows[clip.clip_id].status == OK]
    found = [rows[clip.clip_id] for clip in usable]
    todo = [
        EncodedClip(
            clip.clip_id,
            MediaSegment(moved.get(row.name, Path(row.path)), clip.start_s, clip.end_s),
            row.sha256,
        )
        for clip, row in zip(usable, found, strict=True)
    ]
    return todo, [row for row in found if row.name not in moved]


class Encoder:
    """Packs windows into batches, runs them through the network, and gives each clip its rows."""

    def __init__(
        self,
        module: AnyBackbone,
        settings: WeightsSettings,
        spec: Spec,
        network: torch.nn.Module,
        device: str,
        keep_windows: bool = False,
    ) -> None:
        self.module, self.settings, self.keep_windows = module, settings, keep_windows
        self.device, self.batch_size = device, int(module.BATCH_WINDOWS[device])
        self.network = network.to(device)
        # Two of each: while the device reads one, the other is filled.
        self.buffers = [self._buffer(spec), self._buffer(spec)]
        self.batch: list[tuple[EncodedClip, int]] = []
        self.running: tuple[list[tuple[EncodedClip, int]], torch.Tensor] | None = None
        _set_precision(settings.precision)

    def put(self, clip: EncodedClip, window: np.ndarray, num_valid: int) -> None:
        """Adds a window, which is copied, and runs the batch if that makes it full."""
        data, valid = self.buffers[0]
        data[len(self.batch)] = torch.from_numpy(window)
        valid[len(self.batch)] = num_valid
        if not clip.num_decoded:
            clip.is_padded = num_valid < len(window)
        clip.num_decoded += 1
        self.batch.append((clip, clip.attempt))
        if len(self.batch) == self.batch_size:
            self._run()

    def flush(self) -> None:
        """Runs what is left, and waits for all results."""
        if self.batch:
            self._run()
        self._collect()

    def _buffer(self, spec: Spec) -> tuple[torch.Tensor, torch.Tensor]:
        kind = getattr(torch, spec.window_dtype)
        pinned = self.device != "cpu"
        return (
            torch.zeros((self.batch_size, *spec.window_shape), dtype=kind, pin_memory=pinned),
            torch.zeros(self.batch_size, dtype=torch.int64, pin_memory=pinned),
        )

    def _run(self) -> None:
        data, valid = (t.to(self.device, non_blocking=True) for t in self.buffers[0])
        with torch.inference_mode():
            encoded = self.module.encode(self.settings, self.network, data, valid)
        batch, self.batch = self.batch, []
        self._collect()  # of the batch before: the device is already at work on this one
        self.running = batch, encoded
        self.buffers.reverse()

    def _collect(self) -> None:
        if self.running is None:
            return
        batch, encoded = self.running
        self.running = None
        for (clip, attempt), row in zip(batch, encoded.float().cpu().numpy(), strict=False):
            clip.add(attempt, row, self.keep_windows)


def check_precision(precision: str, device: str) -> None:
    """Raises `PipelineError` where a device can at best emulate a precision."""
    if precision != "bf16":
        return
    has_bf16 = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device == "cuda"
        else torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
    if not has_bf16:
        raise PipelineError(
            f"precision: bf16: this {device} has no instructions for it; use fp32 or another device"
        )


def _set_precision(precision: str) -> None:
    # torch allows tf32 in convolutions unless told otherwise.
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def _gather(
    todo: Sequence[EncodedClip], attributes: dict[str, str], keep_windows: bool
) -> Features:
    for clip in todo:
        if not clip.reason and clip.total is None:
            clip.reason = "nothing in segment"
    done = [clip for clip in todo if not clip.reason]
    means = [clip.total / clip.num_windows for clip in done if clip.total is not None]
    return Features(
        clip_ids=[clip.clip_id for clip in done],
        features=np.array(means, np.float32).reshape(len(done), -1)
        if done
        else np.zeros((0, 0), np.float32),
        num_windows=np.array([clip.num_windows for clip in done], np.int64),
        is_padded=np.array([clip.is_padded for clip in done], bool),
        notes={
            name: np.array([getattr(clip.notes, name) for clip in done], np.float64)
            for name in features.NOTES
        },
        rejected={clip.clip_id: clip.reason for clip in todo if clip.reason},
        attributes=attributes,
        windows=np.array([w for clip in done for w in clip.windows])
        if keep_windows and done
        else None,
        media=[clip.sha256 for clip in done],
    )
