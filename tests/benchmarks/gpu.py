"""What a GPU reaches here: clips a second of every backbone, steps a second of every method.

    python -m tests.benchmarks.gpu

For every backbone the same decode workers run once without the network and once with it. The idle
share is the time between the first batch and the last in which the device worked on no batch, by
events on the device. Weights are random and data are drawn: neither changes the speed. Nothing is
begun when the budget of seconds is used up. ``--device cpu`` tries the command without a GPU.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avca_pipeline import registry
from avca_pipeline.backbones import AnyBackbone, MediaSegment
from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.device_clips import training_clips
from avca_pipeline.evaluation.labelled_clips import learn_scaling
from avca_pipeline.extraction.decoding import decode_pool
from avca_pipeline.extraction.devices import check_precision
from avca_pipeline.extraction.encoded_clip import EncodedClip
from avca_pipeline.extraction.encoder import Encoder
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.media import Limits
from avca_pipeline.media.workers import DecodedWindow
from avca_pipeline.models import Dims
from avca_pipeline.nn.adam import Adam
from avca_pipeline.training.fit import make_repeatable, train_epoch
from avca_pipeline.training.step import Step
from avca_pipeline.training.triplets import sampler
from tests.benchmarks import clips as clip_files
from tests.benchmarks.device_clock import device_with_clock
from tests.benchmarks.training import DIM, TEXT_DIM, labelled_clips
from tests.builders import over_time
from tests.transformer_models import settings_of

LIMITS = Limits(8192 * 4320, 3600.0)
FORMAT = "xvid 320x240"
MAX_CLIPS = 20_000
MIB = 1 << 20


def main(arguments: list[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--budget-s", type=float, default=110.0, help="of the whole command")
    parser.add_argument("--clip-seconds", type=float, default=10.0, help="length of a clip")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--precisions", nargs="*", default=["fp32", "bf16"])
    parser.add_argument("--frames-on", nargs="*", default=["cpu", "device"], help="for video")
    parser.add_argument("--backbones", nargs="*", default=whole_backbones())
    parser.add_argument("--methods", nargs="*", default=registry.names("models"))
    parser.add_argument("--steps", type=int, default=20, help="batches of a method in a turn")
    options = parser.parse_args(arguments)
    ends_s = time.monotonic() + options.budget_s
    print_machine(options.device)
    print_methods(options, ends_s)
    print_backbones(options, ends_s)


def whole_backbones() -> list[str]:
    """Returns the backbones that need no setting, and so no model of somebody's choice."""
    backbones = {name: registry.load("backbones", name) for name in registry.names("backbones")}
    return [
        name
        for name, backbone in backbones.items()
        if not any(field.is_required() for field in backbone.Settings.model_fields.values())
    ]


def print_machine(device: str) -> None:
    """Prints what this runs on."""
    cores = len(os.sched_getaffinity(0))
    name = platform.processor() or platform.machine()
    print(f"{cores} cores ({name}), Python {platform.python_version()}, torch {torch.__version__}")
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        memory = properties.total_memory // MIB
        print(f"{properties.name}, {memory} MiB, compute {properties.major}.{properties.minor}")


def print_methods(options: argparse.Namespace, ends_s: float) -> None:
    """Prints batches a second of every method at its own batch size, on as much as UCF-GZSL has."""
    print(
        f"{'method':<22}{'batch':>8}{'batches/s':>12}{'peak MiB':>12}"
        f"{'as a graph':>12}{'peak MiB':>12}"
    )
    for name in options.methods:
        if time.monotonic() > ends_s:
            print(f"{name:<22}left out: the budget is used up")
            continue
        print_method(name, options)


def print_method(name: str, options: argparse.Namespace) -> None:
    """Prints a line: operation by operation, and replayed as a CUDA graph where that can be."""
    columns = []
    for is_captured in (False, True):
        forget_peak(options.device)
        training = Training(name, options.device, is_captured=is_captured)
        if not training.optimiser.parameters:
            print(f"{name:<22}trains nothing")
            return
        rate = training.batches_per_s(options.steps, options.seconds)
        if is_captured and training.step.run is training.step:
            columns.append(f"{'no graph':>12}")
        else:
            columns.append(f"{rate:>12.1f}{peak_mib(options.device):>12.0f}")
    print(f"{name:<22}{training.settings.batch_size:>8}{''.join(columns)}", flush=True)


class Training:
    """A method with its published settings, and drawn clips to train it on."""

    def __init__(self, name: str, device: str, *, is_captured: bool) -> None:
        self.model, self.device = registry.load("models", name), device
        self.settings = self.model.Settings()
        make_repeatable(device, self.settings)
        data = labelled_clips()
        data = over_time(data) if self.settings.over_time else data
        self.clips = training_clips(data, learn_scaling("none", data, 1), 1, device)
        text_dim = DIM if name == "zero_shot" else TEXT_DIM
        self.network = self.model.build(self.settings, Dims(DIM, DIM, text_dim)).to(device)
        self.optimiser = Adam(
            self.model.trainable(self.settings, self.network),
            self.settings.learning_rate,
            self.settings.weight_decay,
            self.settings.beta1,
        )
        self.step = Step(self.model, self.settings, self.network, self.optimiser, self.clips)
        self.step.is_tried = not is_captured
        self.sampler = sampler(self.clips.class_row)
        self.triplets = torch.Generator().manual_seed(0)

    def train(self, num_batches: int) -> None:
        """Trains on so many batches; at the end the mean loss is read: the device is done."""
        drawn = self.sampler.draw(num_batches, self.settings.batch_size, self.triplets)
        train_epoch(self.step, *drawn)

    def batches_per_s(self, num_batches: int, seconds: float) -> float:
        """Returns the rate over at least so many seconds, after a first turn that warms up."""
        self.train(num_batches)
        num_turns, began_s = 0, time.perf_counter()
        while time.perf_counter() - began_s < seconds:
            self.train(num_batches)
            num_turns += 1
        return num_turns * num_batches / (time.perf_counter() - began_s)


def print_backbones(options: argparse.Namespace, ends_s: float) -> None:
    """Prints the rates of every backbone, of its decode workers, and how idle the device was."""
    print(f"{options.workers} decode workers, {FORMAT}, clips of {options.clip_seconds:g} s")
    print(
        f"{'backbone':<20}{'frames':>8}{'network':>9}{'clips/s':>10}{'of decoding':>13}"
        f"{'windows/s':>11}{'idle':>8}{'MiB/s to device':>17}{'peak MiB':>10}"
    )
    with tempfile.TemporaryDirectory() as folder:
        kind = clip_files.FORMATS[FORMAT]
        path = clip_files.write(Path(folder, f"clip{kind.suffix}"), kind, options.clip_seconds)
        for name in options.backbones:
            if time.monotonic() > ends_s:
                print(f"{name:<20}left out: the budget is used up")
                continue
            values = settings_of(name, Path(folder))
            has_key = "frames_on" in registry.load("backbones", name).Settings.model_fields
            for place in options.frames_on if has_key else ["cpu"]:
                print_backbone(
                    name, values | ({"frames_on": place} if has_key else {}), path, options
                )


def print_backbone(
    name: str, values: dict[str, Any], path: Path, options: argparse.Namespace
) -> None:
    """Prints a line for the decode workers alone, and one for each precision of the network."""
    backbone = registry.load("backbones", name)
    settings = backbone.Settings(**values)
    spec = backbone.spec(settings)
    window_mib = np.prod(spec.window_shape) * np.dtype(spec.window_dtype).itemsize / MIB
    windows = sum(1 for _ in backbone.windows(settings, MediaSegment(path), LIMITS))
    alone, _ = windows_per_s(backbone, settings, path, options, device=None)
    name = f"{name:<20}{values.get('frames_on', 'cpu'):>8}"
    print(f"{name}{'none':>9}{alone / windows:>10.1f}{'100 %':>13}{alone:>11.0f}", flush=True)
    for precision in options.precisions:
        try:
            check_precision(precision, options.device)
        except PipelineError as error:
            print(f"{name}{precision:>9}  {error}")
            continue
        chosen = backbone.Settings(**values, precision=precision)
        forget_peak(options.device)
        rate, idle = windows_per_s(backbone, chosen, path, options, device=options.device)
        # Of planes, it depends on the clip how many bytes there are.
        is_planes = values.get("frames_on") == "device"
        uploaded = "-" if is_planes else f"{rate * window_mib:.0f}"
        print(
            f"{name}{precision:>9}{rate / windows:>10.1f}{f'{100 * rate / alone:.0f} %':>13}"
            f"{rate:>11.0f}{f'{100 * idle:.0f} %':>8}{uploaded:>17}"
            f"{peak_mib(options.device):>10.0f}",
            flush=True,
        )


def windows_per_s(
    backbone: AnyBackbone,
    settings: WeightsSettings,
    path: Path,
    options: argparse.Namespace,
    *,
    device: str | None,
) -> tuple[float, float]:
    """Returns how many windows a second are decoded, and encoded where there is a device.

    The second figure is the idle share of the device; 0 without one.
    """
    media = MediaSegment(path)
    clips = [EncodedClip(str(number), media) for number in range(MAX_CLIPS)]
    pool = decode_pool(
        backbone, settings, clips, LIMITS, device=options.device, num_workers=options.workers
    )
    with pool:
        clock = device_with_clock(device) if device else None
        encoder = None
        if clock is not None:
            network, _ = backbone.build(settings, Path("unused"))
            encoder = Encoder(backbone, settings, network, clock)
        windows = (event for event in pool.events() if isinstance(event, DecodedWindow))
        # Kernels are loaded and memory is taken with the first batches; a shard pays for it once.
        num_first = backbone.BATCH_WINDOWS[options.device] * (3 if device == "cuda" else 1)
        for window in itertools.islice(windows, num_first):
            add_window(encoder, clips, window)
        if encoder is not None and clock is not None:
            encoder.flush()
            clock.reset()
        num_windows, began_s = 0, time.perf_counter()
        for window in windows:
            add_window(encoder, clips, window)
            num_windows += 1
            if time.perf_counter() - began_s > options.seconds:
                break
        if encoder is not None:
            encoder.flush()
        seconds = time.perf_counter() - began_s
        return num_windows / seconds, clock.idle_share() if clock is not None else 0.0


def add_window(encoder: Encoder | None, clips: list[EncodedClip], window: DecodedWindow) -> None:
    """Gives a window to the encoder, if there is one."""
    if encoder is not None:
        clip = clips[window.job]
        encoder.add_window(clip, window.data, window.num_valid, window.start, window.layouts)


def forget_peak(device: str) -> None:
    """Begins to measure the peak of the device's memory anew."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_mib(device: str) -> float:
    """Returns the most memory of the device that tensors had at a time; 0 for a CPU."""
    return torch.cuda.max_memory_allocated() / MIB if device == "cuda" else 0.0


if __name__ == "__main__":
    main()
