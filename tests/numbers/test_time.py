"""Clips over time: where windows are, how they are kept and gathered, and who is given them."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from avca_pipeline import cli
from avca_pipeline.artifacts import feature_shards, feature_windows, features, manifest
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.features import Features
from avca_pipeline.backbones import MediaSegment, selavi_audio, timm_frames
from avca_pipeline.errors import FormatError
from avca_pipeline.media.notes import taking_notes
from avca_pipeline.media.windows import covering_windows, frame_windows, sample_windows
from tests.media import synthetic
from tests.media.synthetic import LIMITS
from tests.numbers.windows import counted, of_clip

LENGTHS = [0, 1, 3, 4, 5, 8, 11, 12, 13]


@pytest.mark.parametrize("num_frames", LENGTHS)
@pytest.mark.parametrize("split_at", [0, 5])
def test_a_window_is_the_stretch_of_the_signal_at_its_start(num_frames: int, split_at: int) -> None:
    signal = np.arange(1.0, num_frames + 1)
    blocks = [signal[:split_at], signal[split_at:]]
    made = {
        "frames": (list(frame_windows(iter(signal[:, None]), 4)), [*range(0, num_frames, 4)]),
        "samples": (
            list(sample_windows(blocks, 4, 3)),
            [*range(0, max(1, num_frames - 3), 3)] if num_frames else [],
        ),
        "covering": (
            list(covering_windows(blocks, 4)),
            [min(start, max(0, num_frames - 4)) for start in range(0, num_frames, 4)],
        ),
    }
    for name, (windows, starts) in made.items():
        assert [window.start for window in windows] == starts, name
        for window in windows:
            real = signal[int(window.start) :][: window.num_valid]
            assert window.data.ravel().tolist() == [*real, *[0] * (4 - len(real))], name


def test_windows_that_overlap_as_published_say_where_they_are() -> None:
    signal = np.random.default_rng(0).standard_normal(150_000)
    blocks = np.split(signal, [40_000, 90_000])
    windows = list(selavi_audio.official_windows(blocks, [0, 30_000, 100_000, 140_000]))
    assert [window.start for window in windows] == [0, 30_000, 100_000, 105_900]
    for window in windows:
        begin = int(window.start)
        np.testing.assert_array_equal(window.data, signal[begin : begin + 44_100])
    (short,) = selavi_audio.official_windows([signal[:9]], [0])
    assert (short.start, short.num_valid) == (0, 9)


def starts_s(path: Path, start: float | None = None, **settings: Any) -> list[float]:
    """Returns where the frames of a clip begin, by the backbone's own account."""
    chosen = timm_frames.Settings(model="test_resnet.r160_in1k", **settings)
    with taking_notes() as notes:
        made = list(timm_frames.windows(chosen, MediaSegment(path, start), LIMITS))
    rate_hz = timm_frames.spec(chosen).timing.rate_hz  # type: ignore[union-attr]
    return [round(notes.late_s + window.start / rate_hz, 6) for window in made]


def test_frames_begin_at_their_time_stamps(tmp_path: Path) -> None:
    """In this file the picture begins two seconds later than the sound."""
    whole, late = tmp_path / "whole.mkv", tmp_path / "late.mkv"
    codecs = ("-map", 0, "-map", 1, "-c:v", "libx264", "-bf", 0, "-c:a", "flac")
    synthetic.ffmpeg(*synthetic.sources(tmp_path, 4.0), *codecs, whole)
    inputs = ("-itsoffset", 2, "-i", whole, "-i", whole, "-map", "0:v", "-map", "1:a")
    synthetic.ffmpeg(*inputs, "-c", "copy", "-t", 4, late)
    assert starts_s(late, rate_hz=2) == [2.0, 2.5, 3.0, 3.5]
    assert starts_s(late, 1.0, rate_hz=2) == [1.0, 1.5, 2.0, 2.5]
    assert starts_s(late, 3.0, rate_hz=2) == [0.0, 0.5]
    assert starts_s(late, frames=2) == [2.48, 3.48]
    assert starts_s(late, 1.0, frames="middle") == [2.0]


def write_shard(path: Path, clips: dict[str, int], *, seed: int = 0, **changes: Any) -> Features:
    """Writes a shard of clips with so many windows each, whose numbers are drawn."""
    drawn = np.random.default_rng(seed)
    counts = np.array(list(clips.values()), int)
    values = drawn.standard_normal((counts.sum(), 3)).astype(np.float32)
    begins = np.concatenate([[0], np.cumsum(counts)])
    means = [values[begin:end].mean(axis=0) for begin, end in itertools.pairwise(begins)]
    value: dict[str, Any] = {
        "clip_ids": list(clips), "features": np.array(means).reshape(len(means), 3),
        "num_windows": counts, "is_padded": counts > 99, "window_s": 0.5, "hop_s": 0.25,
        "windows": FeatureWindows(values, drawn.random(counts.sum())),
        **changes,
    }  # fmt: skip
    made = Features(**value)
    features.write(path, made)
    return made


def gather(folder: Path, *shards: Path) -> Path:
    out = folder / "all.h5"
    request = json.dumps({"features": "all", "num_shards": len(shards)})
    arguments = ["gather", "--settings", request, "--features", str(shards[0]), "--out", str(out)]
    assert cli.main(arguments) == 0
    return out


def test_gathered_windows_are_those_of_the_shards_clip_by_clip(tmp_path: Path) -> None:
    """Also after a shard was made again."""
    first, second, empty = (tmp_path / f"{name}.h5" for name in manifest.shard_names(3))
    nothing: dict[str, int] = {}
    made = [
        write_shard(first, {"d": 3, "a": 1}),
        write_shard(second, {"c": 2, "b": 4}, seed=1),
        write_shard(empty, nothing),
    ]
    once = gather(tmp_path, first, second, empty).read_bytes()
    second.unlink()
    write_shard(second, {"c": 2, "b": 4}, seed=1)
    out = gather(tmp_path, first, second, empty)
    assert out.read_bytes() == once
    assert features.read(out).windows is None
    found = features.read(out, with_windows=True)
    assert list(found.clip_ids) == ["a", "b", "c", "d"]
    assert (found.window_s, found.hop_s) == (0.5, 0.25)
    for shard, clips in zip(made[:2], ("ad", "bc"), strict=True):
        for clip in clips:
            assert of_clip(found, clip) == of_clip(shard, clip)


def test_reading_clips_reads_no_window_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_shard(tmp_path / "1.h5", {"a": 3, "b": 1, "c": 5, "d": 2})
    with feature_windows.opened(tmp_path / "1.h5") as stored:
        num_read = counted(monkeypatch)
        found = stored.read([3, 0, 3])
        assert num_read == {"windows": 7, "window_starts_s": 7}
    expected = [of_clip(made, clip) for clip in "dad"]
    assert found.values.tolist() == [row for values, _ in expected for row in values]
    assert found.starts_s.tolist() == [start for _, starts in expected for start in starts]


def test_windows_that_are_no_numbers_or_not_those_of_the_clips_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.h5"
    made = write_shard(path, {"a": 3, "b": 1}).windows
    assert made is not None
    values = made.values.copy()
    values[1, 2] = np.nan
    write_shard(path, {"a": 3, "b": 1}, windows=FeatureWindows(values, made.starts_s))
    features.read(path)
    with pytest.raises(FormatError, match=r"1\.h5: has windows that are not finite"):
        features.read(path, with_windows=True)
    with pytest.raises(FormatError, match=r"1\.h5: has windows that are not finite"):
        features.write(
            tmp_path / "all.h5", features.read(path), feature_windows.of_file(path, range(2))
        )
    assert not (tmp_path / "all.h5").exists()
    write_shard(path, {"a": 3, "b": 1})
    with h5py.File(path, "r+") as file:
        offsets = file["offsets"]
        offsets[1] = 2
    with pytest.raises(FormatError, match=r"1\.h5: damaged"):
        features.read(path)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("offsets", [0, 2, 4]),
        ("offsets", [0, 3]),
        ("windows", np.zeros((3, 2))),
        ("windows", np.zeros(4)),
        ("window_starts_s", np.zeros(5)),
    ],
)
def test_there_are_as_many_windows_as_the_clips_have(name: str, other: Any) -> None:
    """Also where another program has written the file, with a right checksum."""
    with h5py.File(io.BytesIO(), "w") as file:
        file["offsets"], file["windows"] = [0, 3, 4], np.zeros((4, 2))
        file["window_starts_s"] = np.zeros(4)
        feature_windows.check(Path("1.h5"), file, np.array([3, 1]))
        del file[name]
        file[name] = other
        with pytest.raises(FormatError, match=r"1\.h5: 4 windows but windows"):
            feature_windows.check(Path("1.h5"), file, np.array([3, 1]))


def test_shards_with_and_without_windows_do_not_belong_together(tmp_path: Path) -> None:
    first, second = (tmp_path / f"{name}.h5" for name in manifest.shard_names(2))
    write_shard(first, {"a": 1})
    for change, text in (
        ({"windows": None}, "has_windows is 'False' but 'True'"),
        ({"hop_s": 0.5}, "hop_s is '0.5' but '0.25'"),
    ):
        write_shard(second, {"b": 2}, **change)
        with pytest.raises(FormatError, match=text):
            feature_shards.read([first, second])
