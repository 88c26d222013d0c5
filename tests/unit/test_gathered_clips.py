"""From the clips and features of the workflow to what is classified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import features, fetched, manifest
from avca_pipeline.artifacts.feature_windows import FeatureWindows
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.errors import FormatError
from avca_pipeline.inference.gathered_clips import GatheredClips

CLIPS = ("a", "b", "c", "d")
WINDOWS = {"video": {"d": 1, "a": 3, "c": 1}, "audio": {"a": 2, "d": 2}}
"""How many windows each clip has, in the order of the file."""


def value(modality: str, clip: str, window: int) -> float:
    """Returns the only number of a window, another one for each."""
    return 1000.0 * list(WINDOWS).index(modality) + 100 * CLIPS.index(clip) + window


def of_modality(modality: str, rejected: dict[str, str], *, keeps: bool) -> Features:
    counts = WINDOWS[modality]
    rows = [[value(modality, clip, n)] for clip, count in counts.items() for n in range(count)]
    means = [[value(modality, clip, 0) + 0.5 * (count - 1)] for clip, count in counts.items()]
    numbers = np.array([*counts.values()])
    starts_s = np.array([0.25 * n for count in counts.values() for n in range(count)])
    return Features(
        list(counts), np.array(means, np.float32), numbers, numbers > 9, rejected=rejected,
        window_s=0.5, hop_s=0.25,
        windows=FeatureWindows(np.array(rows, np.float32), starts_s) if keeps else None,
    )  # fmt: skip


def read(folder: Path, *, over_time: bool = False, keeps: bool = True) -> GatheredClips:
    """Writes and reads four clips: ``b`` has no media, and ``c`` no sound."""
    manifest.write(folder / "clips.csv", [Clip(name, name, "", name) for name in CLIPS])
    rows = [FetchedClip(name, OK, sha256="0" * 64, size=1) for name in CLIPS]
    rows[1] = FetchedClip("b", REJECTED, "empty file")
    fetched.write(folder / "fetched.csv", rows)
    gathered = {}
    for modality, rejected in (("video", {}), ("audio", {"c": "no audio stream"})):
        gathered[modality] = folder / f"{modality}.h5"
        features.write(gathered[modality], of_modality(modality, rejected, keeps=keeps))
    tables = [folder / "fetched.csv"]
    return GatheredClips.read(folder / "clips.csv", tables, gathered, over_time=over_time)


def test_each_clip_has_its_own_features_or_its_reason(tmp_path: Path) -> None:
    parts = read(tmp_path).parts()
    assert [part.video for part in parts] == [*CLIPS]
    assert [part.reason for part in parts] == ["", "empty file", "no audio stream", ""]
    for part in (parts[0], parts[3]):
        for modality, counts in WINDOWS.items():
            expected = value(modality, part.video, 0) + 0.5 * (counts[part.video] - 1)
            assert part.features[modality].tolist() == [expected]
        assert not part.windows


def test_a_method_over_time_gets_the_windows_of_each_clip(tmp_path: Path) -> None:
    parts = read(tmp_path, over_time=True).parts()
    for part in (parts[0], parts[3]):
        for modality, counts in WINDOWS.items():
            found, count = part.windows[modality], counts[part.video]
            expected = [[value(modality, part.video, number)] for number in range(count)]
            assert found.values.tolist() == expected
            assert found.starts_s.tolist() == [0.25 * number for number in range(count)]
        assert part.hops_s == {"video": 0.25, "audio": 0.25}
    assert not parts[1].windows
    with pytest.raises(FormatError, match="set keep_windows: true"):
        read(tmp_path, over_time=True, keeps=False)


def test_a_clip_that_nobody_knows_of_is_named(tmp_path: Path) -> None:
    found = read(tmp_path)
    manifest.write(tmp_path / "clips.csv", [*found.clips, Clip("e", "e", "", "e")])
    gathered = {"video": tmp_path / "video.h5"}
    with pytest.raises(FormatError, match="neither features of clip 'e' nor a reason"):
        GatheredClips.read(
            tmp_path / "clips.csv", [tmp_path / "fetched.csv"], gathered, over_time=False
        )
