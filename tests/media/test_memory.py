"""Memory does not grow with the length of a clip."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.conftest import REPOSITORY

RATE_HZ, AUDIO_HZ = 5, 16_000


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


def measured(path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.media.measuring", str(path)]
    output = subprocess.check_output(command, text=True, cwd=REPOSITORY)
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


@pytest.mark.slow
def test_half_an_hour_needs_no_more_memory_than_ten_seconds(tmp_path: Path) -> None:
    short, long = (measured(write(tmp_path / f"{s}.mkv", s)) for s in (10, 1800))
    for name in ("timm_frames", "vggish"):
        assert long[name]["windows"] > 100 * short[name]["windows"]
        assert long[name]["worker_mib"] < short[name]["worker_mib"] + 100
    assert long["main_mib"] < short["main_mib"] + 100
