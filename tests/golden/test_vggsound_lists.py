"""VGGSound-GZSL, main lists in full: what the audit says about its recordings."""

from __future__ import annotations

import csv
import gzip
import re
import shutil
from collections import defaultdict

import pytest

from avca_pipeline.artifacts.audits import SplitAudit
from avca_pipeline.datasets import official as dataset
from avca_pipeline.leakage.split_checks import SplitUnderAudit, audit_split
from avca_pipeline.splits import official
from tests.conftest import shared_folder

LISTS = "VGGSound/class-split/main_split"


@pytest.fixture(scope="module")
def listed() -> dict[str, list[tuple[str, str]]]:
    """The clips of each published list, as pairs of class and clip."""
    lists = defaultdict(list)
    path = shared_folder("official", "vggsound_main_lists.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            lists[row["partition"]].append((row["class_name"], row["clip"]))
    return dict(lists)


@pytest.fixture(scope="module")
def audit(
    listed: dict[str, list[tuple[str, str]]], tmp_path_factory: pytest.TempPathFactory
) -> SplitAudit:
    """The audit of a published folder to which the two lists that it lacks are added."""
    root = tmp_path_factory.mktemp("official") / "lists"
    folder = root / "avgzsl_benchmark_datasets"
    published = shared_folder("official", "avgzsl_benchmark_datasets", "VGGSound")
    shutil.copytree(published, folder / "VGGSound", copy_function=shutil.copyfile)
    columns = ("youtube_id", "start_seconds", "label", "split", "filename")
    for name in ("stage_1_train", "stage_2_train"):
        with open(folder / LISTS / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for label, clip in listed[name]:
                writer.writerow((clip[:11], int(clip[12:]), label, "train", clip))
    clips = dataset.clips(dataset.Settings(path=root, benchmark="VGGSound"))
    settings = official.Settings(path=root, benchmark="VGGSound", lists="main")
    under_audit = SplitUnderAudit(clips, official.build(settings, clips))
    return audit_split(under_audit, settings.audit.by_check())


def test_the_partitions_have_the_published_sizes(audit: SplitAudit) -> None:
    sizes = {name: count.clips for name, count in audit.counts.items()}
    assert sizes == {
        "train": 70351, "val_seen": 7817, "val_unseen": 3102,
        "test_seen": 9032, "test_unseen": 3450,
    }  # fmt: skip


def test_clips_of_trained_recordings_are_counted(
    audit: SplitAudit, listed: dict[str, list[tuple[str, str]]]
) -> None:
    """Against the published figures, and against a count that shares no code with the audit."""
    (check,) = [c for c in audit.checks if c.name == "sources_not_trained_on"]
    assert check.level == "warning"
    assert not check.passed
    videos = {
        name: [re.sub(r"_\d+$", "", clip) for _, clip in clips] for name, clips in listed.items()
    }
    trained = {"val": set(videos["stage_1_train"]), "test": set(videos["stage_2_train"])}
    counts = {}
    for name, own in videos.items():
        if not name.endswith("_train"):
            partition = name.split("_", 2)[2]
            counts[partition] = sum(video in trained[partition.split("_")[0]] for video in own)
    assert check.by_partition == counts
    assert counts == {"val_seen": 2591, "val_unseen": 0, "test_seen": 3144, "test_unseen": 0}
