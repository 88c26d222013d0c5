"""What a run of a config has to do: clips, runs, trainings, disk and time, before it begins.

Times come from rates that were measured on other machines, so they are given to one digit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from avca_pipeline import registry
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.config import Config
from avca_pipeline.planning.listing import all_clips
from avca_pipeline.planning.rates import CLIP_S, CPU, GPU, Machine
from avca_pipeline.runtime import gpus

MAX_LISTED_BYTES = 64 * 2**20
"""Larger annotations are not read for a plan."""
BYTES_PER_NUMBER = 4
JOB_S = 5.0
"""What a training takes to start, in seconds: mostly the import of torch."""
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


@dataclass(frozen=True)
class Listing:
    """The clips of one dataset.

    Attributes:
        dataset: its name.
        num_clips: of all partitions.
        num_classes: of these clips.
        seconds: length of all clips together; clips of unknown length count ten seconds.
        num_unknown: number of clips whose length their annotations do not say.
        why_not: why the clips were not counted; then the numbers are 0.
    """

    dataset: str
    num_clips: int = 0
    num_classes: int = 0
    seconds: float = 0.0
    num_unknown: int = 0
    why_not: str = ""


@dataclass(frozen=True)
class Device:
    """Where a run computes.

    Attributes:
        gpus: names of the GPUs that it may use.
        num_cores: CPU cores of this process.
        why_none: why there is no GPU, where one could be expected.
    """

    gpus: tuple[str, ...]
    num_cores: int
    why_none: str = ""

    @property
    def machine(self) -> Machine:
        """The machine whose rates are closest."""
        return GPU if self.gpus else CPU


def this_device() -> Device:
    """Returns what this machine has."""
    names, why_none = gpus.visible_or_why()
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Device(tuple(names), num_cores or 1, why_none if gpus.is_expected() else "")


def lines(config: Config, device: Device) -> list[str]:
    """Returns the plan of a config, a line for each thing.

    Args:
        config: that has passed the check.
        device: where it will run.

    Raises:
        PipelineError: the annotations of a dataset are missing or malformed.
    """
    listings = [_listing(config, name) for name in config.used_names("datasets")]
    return [
        *(f"clips: {_clips_in_words(listing)}" for listing in listings),
        f"runs: {_runs_in_words(config)}",
        *(f"apply: {name} classifies {entry.dataset}" for name, entry in config.apply.items()),
        f"device: {_device_in_words(device)}",
        f"disk: {_disk_in_words(config, listings)}",
        *_time_in_words(config, listings, device),
    ]


def _listing(config: Config, name: str) -> Listing:
    """Returns the clips of a dataset, unless its annotations are large."""
    entry = config.datasets[name]
    plugin: Any = registry.load("datasets", entry.plugin)
    size = sum(path.stat().st_size for path in plugin.inputs(entry.settings) if path.is_file())
    if size > MAX_LISTED_BYTES:
        return Listing(name, why_not=f"not counted, the annotations have {_size(size)}")
    clips: Sequence[Clip] = all_clips(entry.plugin, plugin, entry.settings)
    lengths = [_length_s(clip) for clip in clips]
    return Listing(
        name,
        num_clips=len(clips),
        num_classes=len({clip.class_name for clip in clips} - {""}),
        seconds=sum(CLIP_S if length is None else length for length in lengths),
        num_unknown=lengths.count(None),
    )


def _length_s(clip: Clip) -> float | None:
    return None if clip.start_s is None or clip.end_s is None else clip.end_s - clip.start_s


def _runs_in_words(config: Config) -> str:
    runs = config.runs()
    if not runs:
        return "none" if config.apply else "none, features alone"
    stage_1, stage_2 = sum(len(config.candidates(run)) for run in runs), len(runs)
    return (
        f"{len(runs):,}, with {stage_1 + stage_2:,} trainings ({stage_1:,} of stage 1, "
        f"{stage_2:,} of stage 2)"
    )


def _clips_in_words(listing: Listing) -> str:
    if listing.why_not:
        return f"{listing.dataset}: {listing.why_not}"
    classes = f"of {listing.num_classes:,} classes" if listing.num_classes else "without classes"
    return f"{listing.dataset}: {listing.num_clips:,} clips {classes}"


def _device_in_words(device: Device) -> str:
    if device.gpus:
        return f"{len(device.gpus)} GPU(s), {device.num_cores} CPU core(s)"
    because = f"; {device.why_none}" if device.why_none else ""
    return f"CPU, {device.num_cores} core(s){because}"


def _disk_in_words(config: Config, listings: Iterable[Listing]) -> str:
    """Returns what features take, which is most of what a run writes beside downloads."""
    num_clips = {listing.dataset: listing.num_clips for listing in listings}
    total, unknown = 0.0, []
    for dataset, name in config.used_features():
        dim = _dim(config, name)
        if dim is None or not num_clips[dataset]:
            unknown.append(name)
        else:
            # Twice: in shards, and gathered.
            total += 2 * num_clips[dataset] * dim * BYTES_PER_NUMBER
    rest = f"; not counted: {', '.join(dict.fromkeys(unknown))}" if unknown else ""
    return f"{_size(total)} for features{rest}" if total else f"features{rest}"


def _dim(config: Config, name: str) -> int | None:
    """Returns the dimension of the features of a backbone, if it is known without its model."""
    entry = config.backbones.get(name)
    if entry is None or entry.keep_windows:
        return None
    plugin: Any = registry.load("backbones", entry.plugin)
    fields = plugin.Settings.model_fields
    # To look up a network by its name, the specification of a plugin imports a whole library.
    is_open = "model" in fields or any(field.is_required() for field in fields.values())
    dim: int | None = None if is_open else plugin.spec(entry.settings).dim
    return dim


def _time_in_words(config: Config, listings: Iterable[Listing], device: Device) -> Iterator[str]:
    """Yields what the run takes, and what the estimate rests on."""
    machine = device.machine
    extraction, unknown = _extraction_s(config, listings, device)
    training, unmeasured = _training_s(config, device)
    parts = [f"features about {_duration(extraction)}"] if extraction else []
    parts += [f"trainings at most {_duration(training)}"] if training else []
    if not parts:
        yield "time: no rate was measured for what this run does"
        return
    yield f"time: {', '.join(parts)}, if nothing is made yet; downloads are not counted"
    missing = [*unknown, *unmeasured]
    rest = f"; no rate for {', '.join(missing)}" if missing else ""
    num_unknown = sum(listing.num_unknown for listing in listings)
    length = "; clips of unknown length count ten seconds" if num_unknown and extraction else ""
    yield f"rates: measured on {machine.name}, published settings{length}{rest}"


def _extraction_s(
    config: Config, listings: Iterable[Listing], device: Device
) -> tuple[float, list[str]]:
    """Returns the time of all extractions in seconds, and the backbones without a rate."""
    machine, total, unknown = device.machine, 0.0, []
    share = 1 / len(device.gpus) if device.gpus else machine.num_cores / device.num_cores
    seconds = {listing.dataset: listing.seconds for listing in listings}
    for dataset, name in config.used_features():
        entry = config.backbones.get(name)
        if entry is None:  # Imported features take no time to speak of.
            continue
        rate = machine.clips_per_s.get(entry.plugin, {}).get(entry.settings.precision)
        if rate is None:
            unknown.append(name)
        else:
            total += seconds[dataset] / CLIP_S / rate * share
    return total, list(dict.fromkeys(unknown))


def _training_s(config: Config, device: Device) -> tuple[float, list[str]]:
    """Returns the longest time of all trainings in seconds, and the methods without a rate.

    Stage 2 stops after the epoch that stage 1 chose; here it takes all.
    """
    total, unknown = 0.0, []
    num_at_once = len(device.gpus) or device.num_cores
    for run in config.runs():
        plugin = config.models[run.model].plugin
        rate = device.machine.steps_per_s.get(plugin)
        if rate is None:
            unknown.append(plugin)
            continue
        steps = [s.epochs * s.batches_per_epoch for s in config.candidates(run).values()]
        total += (sum(steps) + max(steps)) / rate + (len(steps) + 1) * JOB_S
    return total / num_at_once, list(dict.fromkeys(unknown))


def _duration(seconds: float) -> str:
    """Returns a time to one digit, since more of them would not be true."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{_one_digit(seconds / size):,} {unit}"
    return "1 s"


def _size(num_bytes: float) -> str:
    for size, unit in SIZES:
        if num_bytes >= size:
            return f"{_one_digit(num_bytes / size):,} {unit}"
    return f"{num_bytes:.0f} bytes"


def _one_digit(number: float) -> int:
    """Returns a number of at least one, rounded to its first digit."""
    scale = 10 ** (len(str(int(number))) - 1)
    return int(round(number / scale) * scale)
