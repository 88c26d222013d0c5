"""Memory does not grow with the length of a clip."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

RATE_HZ, AUDIO_HZ = 5, 8_000

# Decodes a clip in a worker, runs the network where that is quick, and says what it took.
MEASURE = """
import functools, json, resource, sys
from pathlib import Path
from avca_pipeline import registry
from avca_pipeline.backbones import ClipMedia
from avca_pipeline.media import Limits
from avca_pipeline.media.workers import Crew, Decoded
from avca_pipeline.stages.extract import BATCHES_AHEAD, Clip, Encoder
from tests.benchmarks.extraction import peak_mib

if __name__ == "__main__":
    media, figures = ClipMedia(Path(sys.argv[1])), {}
    for name, values in {"timm_frames": {"model": "test_resnet.r160_in1k", "rate_hz": 1}, "vggish": {}}.items():
        module = registry.load("backbones", name)
        settings = module.Settings(**values)
        spec, clip, count = module.spec(settings), Clip("long", media), 0
        encoder = None
        if name == "timm_frames":
            encoder = Encoder(module, settings, module.build(settings, Path("."))[0], "cpu")
        windows = functools.partial(module.windows, settings, limits=Limits(10**8, 3600))
        slots = BATCHES_AHEAD * module.BATCH_WINDOWS["cpu"]
        size = (spec.window_shape, spec.window_dtype)
        with Crew(windows, [media], *size, num_workers=1, num_slots=slots) as crew:
            for item in crew.decoded():
                if isinstance(item, Decoded):
                    count += 1
                    if encoder:
                        encoder.put(clip, item.data, item.num_valid)
            if encoder:
                encoder.flush()
            figures[name] = {"windows": count, "worker": peak_mib(crew.workers[0].process.pid)}
    figures["main"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))
"""


def write(path: Path, seconds: int) -> Path:
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=RATE_HZ)
        audio = container.add_stream("pcm_s16le", rate=AUDIO_HZ, layout="mono")
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number in range(seconds):
            for tick in range(RATE_HZ):
                shown = np.roll(picture, number + tick, axis=1)
                container.mux(video.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
            sound = generator.integers(-9_000, 9_000, (1, AUDIO_HZ), dtype=np.int16)
            frame = av.AudioFrame.from_ndarray(sound, format="s16", layout="mono")
            frame.sample_rate, frame.pts = AUDIO_HZ, number * AUDIO_HZ
            container.mux(audio.encode(frame))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def peaks(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict]:
    folder = tmp_path_factory.mktemp("memory")
    (folder / "measure.py").write_text(MEASURE)
    found = {}
    for seconds in (10, 1800):
        path = write(folder / f"{seconds}.mkv", seconds)
        output = subprocess.check_output(
            [sys.executable, folder / "measure.py", path],
            text=True,
            env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        )
        found[seconds] = json.loads(output.splitlines()[-1])
    return found


def test_half_an_hour_needs_no_more_memory_than_ten_seconds(peaks: dict[int, dict]) -> None:
    short, long = peaks[10], peaks[1800]
    for name in ("timm_frames", "vggish"):
        assert long[name]["windows"] > 100 * short[name]["windows"]
        assert long[name]["worker"] < short[name]["worker"] + 100
    assert long["main"] < short["main"] + 100
