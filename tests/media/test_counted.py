"""What was done to decode a clip stands in its row of the features' table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.artifacts import feature_shards, features
from avca_pipeline.backbones import MediaSegment, vggish
from avca_pipeline.media.notes import taking_notes
from avca_pipeline.stages import extract, fetch
from avca_pipeline.stages import manifest as manifest_stage
from tests.builders import extract_request, fetch_request, manifest_request
from tests.media import synthetic
from tests.media.synthetic import LIMITS, ffmpeg
from tests.media.test_damaged_media import damaged
from tests.media.test_upright import with_matrix

H264 = "-c:v libx264 -pix_fmt yuv420p -g 20"


def test_each_clip_has_its_own_notes(tmp_path: Path) -> None:
    raw, work = tmp_path / "raw" / "class", tmp_path / "work"
    raw.mkdir(parents=True)
    work.mkdir()
    inputs = synthetic.sources(work, 2.0)
    ffmpeg(*inputs, "-map", 0, *H264.split(), work / "plain.mp4")
    (raw / "plain.mp4").write_bytes((work / "plain.mp4").read_bytes())
    with_matrix(work / "plain.mp4", 0.8, 0.6, -0.6, 0.8).rename(raw / "tilted.mp4")
    ffmpeg(*inputs, "-map", 0, "-c:v", "png", work / "whole.mov")
    damaged(work / "whole.mov", "video", 15).rename(raw / "damaged.mov")
    ffmpeg(*inputs, "-map", 0, *H264.split(), work / "part.ts")
    part = (work / "part.ts").read_bytes()
    (raw / "joined.ts").write_bytes(part * 3)
    (raw / "cut.mov").write_bytes(b"no movie")
    dropping = "select=not(between(n\\,20\\,34))"
    with_gap = [*H264.split(), "-vf", dropping, "-fps_mode", "passthrough"]
    ffmpeg(*inputs, "-map", 0, *with_gap, raw / "gap.ts")

    settings = {"path": str(tmp_path / "raw")}
    manifest_stage.run(
        manifest_request("folder", settings, 1), work / "manifest.csv", work / "shards"
    )
    clips = work / "shards" / "00000-of-00001.csv"
    fetch.run(fetch_request("folder", settings), clips, work / "raw", work / "fetched.csv")
    extract.run(
        extract_request("timm_frames", {"model": "test_resnet.r160_in1k"}),
        clips,
        work / "fetched.csv",
        work / "out.h5",
        cache=work,
        device="cpu",
        workers=2,
    )
    found = features.read(work / "out.h5")
    column = {
        name: {
            clip.split(":")[-1].split("/")[-1]: value
            for clip, value in zip(found.clip_ids, found.notes[name].round(2), strict=True)
        }
        for name in features.NOTES
    }
    nothing = dict.fromkeys(("damaged.mov", "gap.ts", "joined.ts", "plain.mp4", "tilted.mp4"), 0.0)
    assert column["num_jumps"] == {**nothing, "joined.ts": 2}
    assert column["num_damaged"] == {**nothing, "damaged.mov": 3}
    assert column["tilt_deg"] == {**nothing, "tilted.mp4": pytest.approx(36.87, abs=0.01)}
    assert column["gap_s"] == {
        **nothing,
        "gap.ts": pytest.approx(0.6, abs=0.05),
        "damaged.mov": pytest.approx(0, abs=0.2),
    }
    everything = feature_shards.read([work / "out.h5"])
    np.testing.assert_array_equal(everything.notes["num_jumps"], found.notes["num_jumps"])


def test_silence_in_a_gap_is_counted_where_the_clip_is(tmp_path: Path) -> None:
    inputs = synthetic.sources(tmp_path, 5.0)
    silent = "aselect=not(between(t\\,2\\,3))"
    path = tmp_path / "a.mkv"
    ffmpeg(*inputs, "-map", 1, "-c:a", "flac", "-af", silent, path)
    for (start, end), gap_s in {
        (None, None): 1.0, (0.0, 1.5): 0.0, (1.0, 2.5): 0.5, (2.5, 4.5): 0.5, (3.5, 4.5): 0.0
    }.items():  # fmt: skip
        with taking_notes() as notes:
            list(vggish.windows(vggish.Settings(), MediaSegment(path, start, end), LIMITS))
        assert notes.gap_s == pytest.approx(gap_s, abs=0.05), (start, end)
