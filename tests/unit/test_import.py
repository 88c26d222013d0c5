"""Features that were made elsewhere are found by the ids of their clips, or by names of files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from avca_pipeline.artifacts import features, manifest
from avca_pipeline.artifacts.manifest import Clip
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
