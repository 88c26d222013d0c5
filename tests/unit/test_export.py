"""What is exported in the published layout comes back the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avca_pipeline.artifacts import features, labels, manifest, split
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.datasets import official as official_dataset
from avca_pipeline.errors import PipelineError
from avca_pipeline.requests import EmbedRequest, ExportRequest
from avca_pipeline.splits import built, official
from avca_pipeline.stages import embed, export, import_
from tests.builders import import_request

CLASSES = [
    "Handstand Pushups", 'a "quoted", <b>', "grün", "Zumba", "archery", "b.c", "dog, barking", "éa",
]  # fmt: skip
CLIPS = [
    Clip(f"{number}-ä {source}", f"source {number}/{source}", name, "file.mp4")
    for number, name in enumerate(CLASSES)
    for source in range(7)
]
UNHEARD = "0-ä 3"


@pytest.fixture
def ours(tmp_path: Path) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    clip_ids = sorted(clip.clip_id for clip in CLIPS)
    for modality, dim, less in (("video", 5, None), ("audio", 3, UNHEARD)):
        kept = [clip for clip in clip_ids if clip != less]
        value = Features(
            kept,
            rng.standard_normal((len(kept), dim), np.float32),
            np.ones(len(kept), np.int64),
            np.zeros(len(kept), bool),
        )
        features.write(tmp_path / f"our-{modality}.h5", value)
    vectors = Labels(sorted(CLASSES), rng.standard_normal((8, 4), np.float32), "made up")
    labels.write(tmp_path / "labels.h5", vectors)
    split.write(tmp_path / "split.csv", built.build(built.Settings(), CLIPS).clips)
    return {
        "split": tmp_path / "split.csv",
        "video": tmp_path / "our-video.h5",
        "audio": tmp_path / "our-audio.h5",
        "labels": tmp_path / "labels.h5",
    }


@pytest.mark.parametrize("which", ["main", "cls"])
def test_round_trip(ours: dict[str, Any], which: str, tmp_path: Path) -> None:
    out = tmp_path / "official"
    export.run(ExportRequest(**{"benchmark": "Mine", "lists": which}), ours, out)

    chosen = official_dataset.Settings(path=out, benchmark="Mine")
    clips = sorted(official_dataset.clips(chosen), key=lambda clip: clip.clip_id)
    manifest.write(tmp_path / "manifest.csv", clips)
    as_published = official.Settings(path=out, benchmark="Mine", lists=which)  # type: ignore[arg-type]
    again = official.build(as_published, clips)
    assert again.clips == split.read(ours["split"])
    assert not again.excluded
    assert not again.listed_but_missing

    for modality in ("video", "audio"):
        path = out / "avgzsl_benchmark_datasets/Mine/features" / f"{which}_features"
        imported = tmp_path / f"{modality}.h5"
        import_.run(
            import_request(**{"modality": modality, "path": str(path)}),
            tmp_path / "manifest.csv",
            imported,
        )
        found, first = features.read(imported), features.read(ours[modality])
        rows = dict(zip(first.clip_ids, first.features, strict=True))
        assert set(found.clip_ids) == {clip.clip_id for clip in clips} - {UNHEARD}
        assert set(found.rejected) == {UNHEARD}
        for clip, row in zip(found.clip_ids, found.features, strict=True):
            np.testing.assert_array_equal(row, rows[clip])

    settings = {
        "path": str(out / "w2v_features/word_embeddings_mine_normed.npy"),
        "names": str(out / "avgzsl_benchmark_datasets/Mine/class-split/mine_w2v_class_names.csv"),
    }
    embed.run(
        EmbedRequest(plugin="precomputed", settings=settings),
        tmp_path / "manifest.csv",
        tmp_path / "again.h5",
        cache=tmp_path,
    )
    before, after = labels.read(ours["labels"]), labels.read(tmp_path / "again.h5")
    np.testing.assert_array_equal(after.rows(CLASSES), before.rows(CLASSES))


def test_the_published_loader_pairs_each_class_with_its_own_vector(
    ours: dict[str, Any], tmp_path: Path
) -> None:
    """It orders vectors by the sorted second names and numbers classes by the sorted first ones."""
    import csv

    out = tmp_path / "official"
    export.run(ExportRequest(**{"benchmark": "UCF", "lists": "main"}), ours, out)
    folder = out / "avgzsl_benchmark_datasets/UCF"
    table = np.load(
        folder / "features/main_features/text/word_embeddings_ucf_normed.npy", allow_pickle=True
    ).item()
    with open(folder / "class-split/ucf_w2v_class_names.csv", newline="") as file:
        manual = [row["manual"] for row in csv.DictReader(file)]
    ordered = [table[name] for name in sorted(manual)]
    numbered = sorted((folder / "class-split/all_class.txt").read_text().splitlines())
    expected = labels.read(ours["labels"]).rows(numbered)
    np.testing.assert_array_equal(np.stack(ordered), expected)
    with open(folder / "class-split/main_split/stage_1_train.csv", newline="") as file:
        for row in csv.DictReader(file):
            assert numbered[int(row["label_code"])] == row["label"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("a/b", "cannot be the name of a file"), ("ARCHERY!", "'ARCHERY!' and 'archery' are one")],
)
def test_class_names_that_the_layout_cannot_hold(
    ours: dict[str, Any], name: str, message: str, tmp_path: Path
) -> None:
    out = tmp_path / "official"
    rows = split.read(ours["split"])
    renamed = [
        type(r)(r.clip_id, name, r.source_id, r.partition) if r.class_name == "Zumba" else r
        for r in rows
    ]
    split.write(ours["split"], renamed)
    with pytest.raises(PipelineError, match=message):
        export.run(ExportRequest(**{"benchmark": "Mine", "lists": "main"}), ours, out)
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))
