"""Stage ``extract``: turns the clips of a shard into features of one backbone.

Decode workers run ahead of the network and put windows into one bounded queue; windows of
different clips share a batch; each window's features go back to its clip. Memory is bounded by
the queue, whatever the length of a clip. Batches always have the same size, the last one is
filled up, so that a clip's features do not depend on its neighbours.
"""

from __future__ import annotations

import importlib.metadata
import platform
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from avca_pipeline import registry
from avca_pipeline.artifacts import features, fetched, manifest
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK
from avca_pipeline.backbones import ClipMedia
from avca_pipeline.config import LimitsSettings, canonical, checked
from avca_pipeline.lazy import torch
from avca_pipeline.media import Limits, MediaError
from avca_pipeline.media.windows import Window
from avca_pipeline.progress import Progress, say

QUEUED_BATCHES = 2


@dataclass
class _Clip:
    """One clip on its way: where its media is, and what has come of it."""

    clip_id: str
    media: ClipMedia
    total: np.ndarray | None = None
    windows: list[np.ndarray] = field(default_factory=list)
    num_windows: int = 0
    is_padded: bool = False
    reason: str = ""


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
        keep_windows: keep the features of every window, not only their mean.

    Raises:
        PipelineError: the weights are missing, wrong or damaged, or a table is.
    """
    module = registry.load("backbones", plugin)
    typed = checked(module.Settings, settings, f"backbones ({plugin})")
    bounds = checked(LimitsSettings, limits, "limits").limits()
    todo = _usable_clips(clips, table)
    title = f"extract {out.parent.name} {clips.stem}"
    network, weights = module.build(typed, cache)
    network = network.to(device)
    with Progress(title, len(todo), "clips") as progress:
        _extract(module, typed, network, bounds, todo, device, workers, keep_windows, progress)
    attributes = {
        "backbone": plugin,
        "weights": weights,
        "preprocessing": canonical(settings),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("torch", "av", "numpy")},
    }
    value = _gather(todo, attributes, keep_windows)
    features.write(out, value)
    say(f"{title}: {len(value.clip_ids)} clips, {len(value.rejected)} rejected")


def _usable_clips(clips: Path, table: Path) -> list[_Clip]:
    rows = {row.clip_id: row for row in fetched.read(table)}
    return [
        _Clip(clip.clip_id, ClipMedia(Path(row.path), clip.start_s, clip.end_s))
        for clip in manifest.read(clips)
        for row in [rows[clip.clip_id]]
        if row.status == OK
    ]


def _extract(
    module: ModuleType,
    settings: Any,
    network: torch.nn.Module,
    limits: Limits,
    todo: Sequence[_Clip],
    device: str,
    workers: int,
    keep_windows: bool,
    progress: Progress,
) -> None:
    """Decodes and encodes all clips, filling in what has come of each."""
    size = module.BATCH_WINDOWS[device]
    batch: list[tuple[_Clip, Window]] = []

    def flush() -> None:
        if not batch:
            return
        padding = [batch[-1][1]] * (size - len(batch))
        held = [window for _, window in batch] + padding
        data = torch.from_numpy(np.stack([window.data for window in held])).to(device)
        num_valid = torch.tensor([window.num_valid for window in held], device=device)
        with torch.inference_mode():
            encoded = module.encode(settings, network, data, num_valid).float().cpu().numpy()
        for (clip, window), row in zip(batch, encoded, strict=False):
            _add(clip, window, row, keep_windows)
        batch.clear()

    for clip, item in _decoded(module, settings, limits, todo, workers, QUEUED_BATCHES * size):
        if isinstance(item, Window):
            batch.append((clip, item))
            if len(batch) == size:
                flush()
            continue
        clip.reason = str(item) if item else ""
        progress.advance(note=f"{clip.clip_id}")
    flush()


def _add(clip: _Clip, window: Window, row: np.ndarray, keep_windows: bool) -> None:
    if not np.isfinite(row).all():
        clip.reason = "damaged: its features are not finite"
        return
    wide = row.astype(np.float64)
    clip.total = wide if clip.total is None else clip.total + wide
    clip.is_padded = clip.num_windows == 0 and window.num_valid < len(window.data)
    clip.num_windows += 1
    if keep_windows:
        clip.windows.append(row)


def _decoded(
    module: ModuleType,
    settings: Any,
    limits: Limits,
    todo: Sequence[_Clip],
    workers: int,
    capacity: int,
) -> Iterator[tuple[_Clip, Window | MediaError | None]]:
    """Yields each clip's windows in order and then an end mark: ``None``, or why it failed."""
    results: queue.Queue = queue.Queue(capacity)
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    for clip in todo:
        waiting.put(clip)
    stop = threading.Event()

    def put(item: tuple[_Clip | None, Any]) -> None:
        while not stop.is_set():
            try:
                results.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            while not stop.is_set():
                try:
                    clip = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    for window in module.windows(settings, clip.media, limits):
                        put((clip, window))
                        if stop.is_set():
                            return
                    put((clip, None))
                except MediaError as error:
                    put((clip, error))
        except BaseException as error:  # a bug of ours: raised again in the main thread
            put((None, error))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(max(1, workers))]
    for thread in threads:
        thread.start()
    try:
        remaining = len(todo)
        while remaining:
            clip, item = results.get()
            if clip is None:
                raise item
            remaining -= not isinstance(item, Window)
            yield clip, item
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _gather(todo: Sequence[_Clip], attributes: dict[str, str], keep_windows: bool) -> Features:
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
        rejected={clip.clip_id: clip.reason for clip in todo if clip.reason},
        attributes=attributes,
        windows=np.array([w for clip in done for w in clip.windows])
        if keep_windows and done
        else None,
    )
