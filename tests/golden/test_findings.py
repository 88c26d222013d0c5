"""What the documents say is wrong in the published code, counted again in the published files."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from avca_pipeline.text_embeddings import precomputed
from tests.conftest import REPOSITORY, shared_folder

PAGE = (REPOSITORY / "docs/published-code.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("benchmark", "file", "num_wrong", "num_classes"),
    [
        ("UCF", "ucf", 79, 101),
        ("VGGSound", "vggsound", 205, 309),
        ("ActivityNet", "activity", 8, 200),
    ],
)
def test_classes_that_the_published_loader_pairs_with_another_vector(
    benchmark: str, file: str, num_wrong: int, num_classes: int
) -> None:
    lists = shared_folder("official", "avgzsl_benchmark_datasets", benchmark, "class-split")
    (names_file,) = lists.glob("*_w2v_class_names.csv")
    with open(names_file, newline="", encoding="utf-8") as opened:
        names = [row["original"] for row in csv.DictReader(opened)]
    path = shared_folder("official", "w2v_features", f"word_embeddings_{file}_normed.npy")
    own, published = (
        precomputed.vectors(
            precomputed.Settings(path=path, names=names_file, pairing=pairing), names
        )
        for pairing in ("by-name", "official")
    )
    assert len(names) == num_classes
    assert np.any(own != published, axis=1).sum() == num_wrong
    assert str(num_wrong) in PAGE
    assert str(num_classes) in PAGE


def test_all_seen_test_clips_of_ucf_come_from_recordings_that_are_trained_on() -> None:
    """UCF101's recordings are the groups in the names: ``v_<class>_g<group>_c<clip>``."""
    folder = shared_folder("official", "avgzsl_benchmark_datasets", "UCF", "class-split")
    test, trained = (
        recordings(folder / "main_split" / f"stage_2_{name}.csv") for name in ("test_seen", "train")
    )
    assert len(test) == 555
    assert all(recording in set(trained) for recording in test)
    assert "all 555 of UCF" in PAGE


def recordings(path: Path) -> list[str]:
    """Returns the recording of each clip in a list."""
    return re.findall(r"v_\w+?_g\d+(?=_c\d+)", path.read_text(encoding="utf-8"))
