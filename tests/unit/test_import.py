"""Features that were made elsewhere are found by the ids of their clips, or by names of files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from avca_pipeline.artifacts import features, manifest
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.errors import PipelineError
from avca_pipeline.stages import import_
from tests.builders import import_request


def test_a_name_with_dots_is_an_id_or_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "features/video/stage_1_train"
    folder.mkdir(parents=True)
    with h5py.File(folder / "fox.h5", "w") as file:
        file["data"] = np.arange(8.0).reshape(4, 2)
        file["video_urls"] = [b"take.1", b"take.2.mp4", b"below/plain.avi", b"of no clip.mp4"]
    ids = ["take.1", "take.2", "plain", "absent"]
    manifest.write(tmp_path / "clips.csv", [Clip(name, name, "fox", "x") for name in ids])
    request = import_request("video", tmp_path / "features")
    import_.run(request, tmp_path / "clips.csv", tmp_path / "out.h5")
    found = features.read(tmp_path / "out.h5")
    assert dict(zip(found.clip_ids, found.features.tolist(), strict=True)) == {
        "take.1": [0, 1], "take.2": [2, 3], "plain": [4, 5],
    }  # fmt: skip
    assert found.rejected == {"absent": "no imported feature"}


@pytest.mark.parametrize(
    ("over_time", "remedy"), [(False, "set keep_windows: true"), (True, "leave keep_windows out")]
)
def test_features_of_the_other_kind_are_one_line(
    tmp_path: Path, over_time: bool, remedy: str
) -> None:
    """Means are ``.h5`` files, and features over time are ``.pkl`` files."""
    folder = tmp_path / "features/video/stage_1_train"
    folder.mkdir(parents=True)
    (folder / f"fox.{'h5' if over_time else 'pkl'}").touch()
    manifest.write(tmp_path / "clips.csv", [Clip("a", "a", "fox", "x")])
    request = import_request("video", tmp_path / "features")
    over = {"keep_windows": True, "window_s": 1.0, "hop_s": 1.0} if over_time else {}
    source = request.source.model_copy(update=over)
    with pytest.raises(PipelineError, match=f"features/video: no features .*{remedy}"):
        import_.run(
            request.model_copy(update={"source": source}), tmp_path / "clips.csv", tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()
