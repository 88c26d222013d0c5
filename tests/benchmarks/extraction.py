"""How fast features are extracted here, and how far that is from what the machine allows.

``make benchmark`` runs it. Everything is measured in one run, against the plain path of
`reference_path` and against the machine's own limits, so that the ratios can be compared between
machines. CPU seconds are user and system time of all processes; a busy machine lengthens the wall
times and hardly those.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import torch

from avca_pipeline.backbones import MediaSegment, c3d, vggish
from avca_pipeline.errors import PipelineError
from avca_pipeline.extraction.decoding import decode_pool
from avca_pipeline.extraction.devices import check_precision, open_device
from avca_pipeline.extraction.encoded_clip import EncodedClip
from avca_pipeline.extraction.encoder import Encoder, encode_clips
from avca_pipeline.media import Limits
from avca_pipeline.media.decode_worker import keep_memory
from avca_pipeline.media.workers import DecodePool
from tests.benchmarks import clips, reference_path
from tests.process_memory import own_mib

LIMITS = Limits(8192 * 4320, 3600.0)
VIDEO = c3d.Settings(preprocessing="official-script")
AUDIO = vggish.Settings()
C3D_GFLOP = 77.1  # of one window
PRECISIONS = ("fp32", "tf32", "bf16")


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Runs the parts that were asked for, prints a line for each figure, and returns them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a clip")
    parser.add_argument("--clips", type=int, default=4, help="clips for the networks")
    parser.add_argument(
        "--repeats", type=int, default=3, help="of each measurement; the median counts"
    )
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--formats", nargs="*", default=list(clips.FORMATS))
    parser.add_argument("--parts", nargs="*", default=["preparing", "workers", "networks"])
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    figures: dict[str, Any] = {"machine": machine(options.device)}
    with tempfile.TemporaryDirectory() as folder:
        if "preparing" in options.parts:
            figures["preparing"] = preparing(options, Path(folder))
        if "workers" in options.parts:
            figures["workers"] = scaling(options, Path(folder))
        if "networks" in options.parts:
            figures["networks"] = networks(options, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures["peak_mib"] = say("peak memory of the main process", peak, "MiB")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def say(what: str, value: float, unit: str) -> float:
    """Prints a figure and returns it."""
    print(f"{what:<64} {value:10.3f} {unit}", flush=True)
    return value


def machine(device: str) -> dict[str, Any]:
    """Says what this runs on, with the rate of its matrix products, the limit of any network."""
    size = 2048 if device == "cpu" else 8192
    a = torch.randn(size, size, device=device)
    seconds = wall_s(lambda: a @ a, device, 5)
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "matrix_gflops": say("matrix product, fp32", 2 * size**3 / seconds / 1e9, "GFLOP/s"),
    }


def preparing(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """CPU seconds a clip for everything but the networks.

    Ours on one thread, as decode workers are; the plain path on as many as torch chooses, as the
    published scripts are, and for comparison on one, which spares it the waiting of threads.
    """
    cpu = functools.partial(cpu_s, repeats=options.repeats)
    media = {
        name: MediaSegment(clips.write(folder / f"{name}{kind.suffix}", kind, options.seconds))
        for name, kind in clips.FORMATS.items()
        if name in options.formats
    }
    figures = {
        name: {"plain_s": cpu(lambda clip=clip: plain_front_end(clip.path))}
        for name, clip in media.items()
    }
    torch.set_num_threads(1)
    for name, clip in media.items():
        figures[name] |= {
            "plain_on_one_thread_s": cpu(lambda clip=clip: plain_front_end(clip.path)),
            "decode_s": cpu(lambda clip=clip: decoded_frames(clip.path)),
        }
    keep_memory()  # as decode workers do
    for name, clip in media.items():
        video = cpu(lambda clip=clip: sum(1 for _ in c3d.windows(VIDEO, clip, LIMITS)))
        audio = cpu(lambda clip=clip: audio_front_end(clip))
        figures[name] |= {"video_s": video, "audio_s": audio}
        say(f"{name}: plain path", figures[name]["plain_s"], "CPU s/clip")
        say(f"{name}: plain path, one thread", figures[name]["plain_on_one_thread_s"], "CPU s/clip")
        say(f"{name}: decoding alone", figures[name]["decode_s"], "CPU s/clip")
        say(f"{name}: ours, frames for C3D, decoding included", video, "CPU s/clip")
        say(f"{name}: ours, sound for VGGish, log-mel included", audio, "CPU s/clip")
        ratio = figures[name]["plain_s"] / (video + audio)
        figures[name]["ratio"] = say(f"{name}: plain path / ours", ratio, "")
    torch.set_num_threads(os.cpu_count() or 1)
    return figures


def decoded_frames(path: Path) -> int:
    """Decodes every frame, and does nothing with it: what no extraction can save."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        return sum(1 for _ in container.decode(video=0))


def audio_front_end(media: MediaSegment) -> torch.Tensor:
    """Returns our log-mel examples of a clip."""
    windows = np.stack([window.data for window in vggish.windows(AUDIO, media, LIMITS)])
    return vggish.log_mel(torch.from_numpy(windows))


def plain_front_end(path: Path) -> None:
    """Does the plain path's share of the same work."""
    reference_path.video_windows(path)
    reference_path.audio_examples(path)


def scaling(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Clips a second of decode workers with the network left out, for one and for more."""
    name = next(iter(clips.FORMATS))
    kind = clips.FORMATS[name]
    source = clips.write(folder / f"scaling{kind.suffix}", kind, options.seconds)
    media = [MediaSegment(source)] * (24 * max(2, options.workers))
    rates = {
        number: len(media) / statistics.median(
            decode_seconds(c3d, VIDEO, media, number) for _ in range(options.repeats)
        )
        for number in sorted({1, 2, options.workers})
    }  # fmt: skip
    for number, rate in rates.items():
        say(f"{name}: {number} decode workers, no network", rate, "clips/s")
    ratio = say("two decode workers / one", rates[2] / rates[1], "")
    return {"clips_per_s": rates, "two_over_one": ratio}


def decode_seconds(
    module: ModuleType, settings: Any, media: list[MediaSegment], number: int
) -> float:
    """Returns the seconds that decode workers need for clips whose windows nobody uses.

    From the first item on: the start of the workers is paid once a shard.
    """
    spec = module.spec(settings)
    pool = DecodePool(
        functools.partial(module.windows, settings, limits=LIMITS),
        media,
        spec.window_shape,
        spec.window_dtype,
        num_workers=number,
        num_slots=4 * number,
    )
    with pool:
        items = pool.events()
        next(items)
        started = time.perf_counter()
        for _ in items:
            pass
        return time.perf_counter() - started


def networks(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """C3D and VGGish on 320x240 clips: the plain path, ours, and the limits of ours."""
    kind = clips.FORMATS["xvid 320x240"]
    media = [
        MediaSegment(
            clips.write(folder / f"network{index}{kind.suffix}", kind, options.seconds, index)
        )
        for index in range(options.clips)
    ]
    cache = folder / "cache"
    video_network, _ = c3d.build(VIDEO, cache)
    audio_network, _ = vggish.build(AUDIO, cache)
    started = time.perf_counter()
    plain = reference_path.features(media[0].path, video_network, audio_network)
    plain_s = say("plain path, C3D and VGGish", time.perf_counter() - started, "s/clip")
    figures: dict[str, Any] = {"plain_s": plain_s}
    for precision in PRECISIONS:
        try:
            check_precision(precision, options.device)
        except PipelineError as error:
            print(error)
            continue
        if precision == "tf32" and options.device == "cpu":
            continue  # the same as fp32 there
        chosen = {"precision": precision}
        video = measured(c3d, VIDEO.model_copy(update=chosen), media, options, cache)
        audio = measured(vggish, AUDIO.model_copy(update=chosen), media, options, cache)
        ours_s = say(f"{precision}: ours, C3D and VGGish", video["s"] + audio["s"], "s/clip")
        figures[precision] = {
            "c3d": video,
            "vggish": audio,
            "plain_over_ours": say(f"{precision}: plain path / ours", plain_s / ours_s, ""),
            "c3d_deviation": say(
                f"{precision}: C3D, largest difference to the plain path / largest value",
                float(np.abs(video.pop("first") - plain[0]).max() / np.abs(plain[0]).max()),
                "",
            ),
        }
        audio.pop("first")
    return figures


def measured(
    module: ModuleType,
    settings: Any,
    media: list[MediaSegment],
    options: argparse.Namespace,
    cache: Path,
) -> dict[str, Any]:
    """Runs one backbone over clips as the stage does, and the same network on data in memory."""
    network, _ = module.build(settings, cache)
    spec = module.spec(settings)
    encoder = Encoder(module, settings, network, open_device(options.device))
    size, name = encoder.batch_size, module.__name__.split(".")[-1]
    label = f"{settings.precision}: {name}"
    data = torch.zeros((size, *spec.window_shape), dtype=getattr(torch, spec.window_dtype))
    data, valid = data.to(options.device), torch.full((size,), len(data[0]), device=options.device)

    def in_memory() -> torch.Tensor:
        with torch.inference_mode():
            return module.encode(settings, encoder.network, data, valid)  # type: ignore[no-any-return]

    in_memory()
    limit = size / wall_s(in_memory, options.device, options.repeats)
    todo = [EncodedClip(str(index), clip) for index, clip in enumerate(media)]
    pool = decode_pool(
        module, settings, todo, LIMITS, device=options.device, num_workers=options.workers
    )
    with pool:
        events = pool.events()
        first = next(events)  # the start of workers is paid once a shard
        started = time.perf_counter()
        encode_clips(itertools.chain([first], events), todo, encoder)
        seconds = time.perf_counter() - started
        own = max(own_mib(worker.process.pid) for worker in pool.workers)
    num_windows = sum(clip.num_encoded for clip in todo)
    total = todo[0].feature_sum
    assert total is not None
    rate, alone = (
        num_windows / seconds,
        len(media) / decode_seconds(module, settings, media, options.workers),
    )
    figures = {
        "s": say(f"{label}: the whole way", seconds / len(media), "s/clip"),
        "windows_per_s": say(f"{label}: the whole way", rate, "windows/s"),
        "in_memory_windows_per_s": say(f"{label}: network on data in memory", limit, "windows/s"),
        "of_in_memory": say(f"{label}: share of that", rate / limit, ""),
        "of_decoding": say(
            f"{label}: share of the decode workers' rate without it",
            len(media) / seconds / alone,
            "",
        ),
        "worker_mib": say(f"{label}: memory of a decode worker, shared not counted", own, "MiB"),
        "first": total / todo[0].num_encoded,
    }
    if module is c3d:
        say(f"{label}: arithmetic", rate * C3D_GFLOP, "GFLOP/s")
    return figures


def wall_s(call: Callable[[], Any], device: str, repeats: int) -> float:
    """Returns the median wall seconds of a call, waiting for the device."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def cpu_s(call: Callable[[], Any], repeats: int) -> float:
    """Returns the least CPU seconds of a call: what other work on the machine adds is not ours."""
    call()  # imports and compilation on first use are paid once a shard
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return min(taken)


if __name__ == "__main__":
    main()
