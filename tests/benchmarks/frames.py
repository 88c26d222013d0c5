"""How far ``frames_on: device`` is from the host, and what of the CPU's time it saves.

    python -m tests.benchmarks.frames CLIP...

For each clip and backbone of video it prints the largest and the mean difference of pixels, of 0 to
255, and the CPU seconds of a decode worker with and without ``frames_on: device``.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import numpy as np
import torch

from avca_pipeline import registry
from avca_pipeline.backbones import AnyBackbone, MediaSegment
from avca_pipeline.backbones.frames_on import FramesOn
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.media import MediaError
from avca_pipeline.media.decode_worker import keep_memory
from avca_pipeline.media.notes import taking_notes
from avca_pipeline.media.planes import keeping_planes, packed
from tests.planes import LIMITS, pairs
from tests.transformer_models import settings_of


def main(arguments: list[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--backbones", nargs="*", default=video_backbones())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_memory()
    print(f"{'clip':<42}{'backbone':<22}{'most':>6}{'mean':>9}{'host s':>8}{'planes s':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.backbones:
            values = settings_of(name, Path(folder))
            backbone = registry.load("backbones", name)
            settings = backbone.Settings(**values, frames_on="device")
            for path in options.clips:
                try:
                    print_clip(name, backbone, settings, path, options.device)
                except MediaError as error:
                    print(f"{path.name:<42}{name:<22}{error}")


def video_backbones() -> list[str]:
    """Returns the backbones that have the key."""
    names = registry.names("backbones")
    return [n for n in names if issubclass(registry.load("backbones", n).Settings, FramesOn)]


def print_clip(
    name: str, backbone: AnyBackbone, settings: WeightsSettings, path: Path, device: str
) -> None:
    """Prints a line for a clip."""
    most, total, count = 0.0, 0.0, 0
    with taking_notes() as notes:
        for ours, expected in pairs(backbone, settings, path, device):
            difference = np.abs(ours.astype(np.float64) - expected)
            most = max(most, difference.max())
            total, count = total + difference.sum(), count + difference.size
    seconds = (cpu_s(backbone, settings, path, planes=planes) for planes in (False, True))
    costs = "".join(f"{value:>8.3f}" for value in seconds)
    note = notes.on_host and f"  on the host: {notes.on_host}"
    mean = total / count
    print(f"{path.name:<42}{name:<22}{most:>6.2f}{mean:>9.4f}{costs}{note}", flush=True)


def cpu_s(backbone: AnyBackbone, settings: WeightsSettings, path: Path, *, planes: bool) -> float:
    """Returns the CPU seconds of a worker for a clip, the copy into shared memory included."""
    shape = backbone.spec(settings).window_shape
    room = np.empty(shape[0] * 1920 * 1088 * 3 // 2, np.uint8)

    def windows(clip: MediaSegment):  # type: ignore[no-untyped-def]
        return backbone.windows(settings, clip, LIMITS)

    began = used_s()
    for window in (
        keeping_planes(windows, MediaSegment(path)) if planes else windows(MediaSegment(path))
    ):
        if planes:
            packed(window, room)
        else:
            room[: window.data.nbytes] = window.data.reshape(-1).view(np.uint8)
    return used_s() - began


def used_s() -> float:
    """Returns the CPU seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
