"""The real workflow without any media: published lists, imported features, and back again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.published import export
from avca_pipeline.splits import built
from tests.builders import content_of
from tests.workflow.driving import TINY, planned, snakemake


def publish(folder: Path) -> Path:
    """Writes lists, vectors and features that can be learned, as a benchmark is published."""
    rng = np.random.default_rng(0)
    names = [f"class {number}" for number in range(10)]
    vectors = rng.standard_normal((len(names), 12)).astype(np.float32)
    clips = [
        Clip(f"{label}-{source}", f"{label}-{source}", name, "no media")
        for label, name in enumerate(names)
        for source in range(8)
    ]
    rows = built.build(built.Settings(), clips).clips
    features = {}
    for modality, dim in (("video", 9), ("audio", 7)):
        means = vectors @ rng.standard_normal((12, dim))
        noisy = [means[names.index(row.class_name)] + rng.standard_normal(dim) for row in rows]
        features[modality] = Features(
            [row.clip_id for row in rows],
            np.array(noisy, np.float32),
            np.ones(len(rows), np.int64),
            np.zeros(len(rows), bool),
        )
    export.write(
        folder, export.Export("Mine", "main", rows, features, Labels(names, vectors, "random"))
    )
    return folder


def config(folder: Path) -> dict[str, Any]:
    top = folder / "avgzsl_benchmark_datasets/Mine"
    path = str(top / "features/main_features")
    lists = {"plugin": "official", "path": str(folder), "benchmark": "Mine"}
    words = {
        "plugin": "precomputed",
        "path": str(folder / "w2v_features/word_embeddings_mine_normed.npy"),
        "names": str(top / "class-split/mine_w2v_class_names.csv"),
    }
    return {
        "datasets": {"mine": {**lists, "num_shards": 2}},
        "imported": {
            "seen": {"modality": "video", "path": path},
            "heard": {"modality": "audio", "path": path},
        },
        "feature_sets": {"theirs": {"video": "seen", "audio": "heard"}},
        "text_embeddings": {"words": words},
        "splits": {"published": lists, "again": {**lists, "plugin": "official_grouped"}},
        "models": TINY["models"],
        "experiment": {
            "datasets": ["mine"], "feature_sets": ["theirs"], "text_embeddings": ["words"],
            "splits": ["published"], "models": ["avca"], "seeds": [0],
        },
    }  # fmt: skip


def test_published_features_to_a_report_and_back(tmp_path: Path) -> None:
    published = publish(tmp_path / "published")
    chosen = config(published)
    expected = {
        "manifest", "import", "gather", "embed", "split", "audit", "train_stage1", "select",
        "train_stage2", "evaluate", "report",
    }  # fmt: skip
    assert set(planned(tmp_path / "run", chosen)) <= expected
    done = snakemake(tmp_path / "run", None, "all", "exports")
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "run/results"
    reached = content_of(results / "mine/runs/published/theirs/words/avca/seed0/scores.json")
    assert reached["num_missing"] == {}
    assert reached["provenance"]["video"]["backbone"] == "imported"
    assert not (results / "mine/fetched").exists()
    page = (results / "report.html").read_text()
    assert "seen and heard were imported" in page or "heard and seen were imported" in page
    assert "do not add up" not in page

    again = results / "mine/official/published/theirs/words"
    names = {path.relative_to(published) for path in published.rglob("*") if path.is_file()}
    written = {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    assert written - {Path(".snakemake_timestamp")} == names
    for name in names:
        if name.suffix != ".h5":
            assert (again / name).read_bytes() == (published / name).read_bytes(), name
            continue
        with h5py.File(published / name) as first, h5py.File(again / name) as second:
            for key in ("data", "video_urls"):
                np.testing.assert_array_equal(first[key][()], second[key][()])

    chosen["experiment"]["splits"] = ["published", "again"]
    more = planned(tmp_path / "run", chosen)
    assert more["split"] == more["audit"] == 1
    assert "import" not in more
