"""The published lists and the published layout of features, on the real lists."""

from __future__ import annotations

import csv
import functools
import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from avca_pipeline.artifacts import audits, feature_shards, manifest, split
from avca_pipeline.artifacts.split import PARTITIONS, TRAINING_PARTITIONS
from avca_pipeline.datasets import official as dataset
from avca_pipeline.errors import PipelineError
from avca_pipeline.leakage.split_checks import SplitUnderAudit, audit_split
from avca_pipeline.published.class_names import class_key
from avca_pipeline.published.lists import STAGES
from avca_pipeline.splits import official, official_grouped
from avca_pipeline.stages import import_
from avca_pipeline.stages import split as split_stage
from tests.builders import import_request, split_request
from tests.conftest import shared_folder

COMPLETE = ("UCF", "ActivityNet")
BOTH = [(benchmark, which) for benchmark in COMPLETE for which in ("main", "cls")]


@functools.cache
def clips_of(benchmark: str) -> list[manifest.Clip]:
    return dataset.clips(dataset.Settings(path=shared_folder("official"), benchmark=benchmark))


@functools.cache
def built(benchmark: str, which: str) -> tuple[official.Settings, dict[str, Any]]:
    settings = official.Settings(
        path=shared_folder("official"),
        benchmark=benchmark,
        lists=which,  # type: ignore[arg-type]
    )
    clips = clips_of(benchmark)
    return settings, audit_split(
        SplitUnderAudit(clips, official.build(settings, clips)), settings.audit.by_check()
    )


def facts(benchmark: str) -> list[list[int]]:
    """Returns the numbers in each cell of the benchmark's row of the table of statistics."""
    text = shared_folder("FACTS.md").read_text(encoding="utf-8")
    table = text[text.index("### Benchmark statistics") :]
    row = next(line for line in table.splitlines() if line.startswith(f"| {benchmark}-GZSL"))
    cells = [cell.strip() for cell in row.strip("| ").split("|")]
    return [[int(n.replace(",", "")) for n in re.findall(r"[\d,]+", cell)] for cell in cells[1:]]


def rows_of(benchmark: str, which: str, stage: str) -> list[dict[str, str]]:
    """Returns a list's rows of the classes in the TXT beside it, read in the plainest way."""
    file = shared_folder(
        "official", "avgzsl_benchmark_datasets", benchmark, "class-split", f"{which}_split",
        f"{stage}.csv",
    )  # fmt: skip
    admitted = {name.strip().lower() for name in file.with_suffix(".txt").read_text().split("\n")}
    with open(file, newline="") as opened:
        return [row for row in csv.DictReader(opened) if row["label"].lower() in admitted]


@pytest.mark.parametrize(("benchmark", "which"), BOTH)
def test_counts_are_the_published_ones(benchmark: str, which: str) -> None:
    counts = built(benchmark, which)[1].counts
    classes, train, val_seen, val_unseen, stage_2, test_seen, test_unseen = facts(benchmark)
    num_unseen = test_unseen[0] if which == "main" else test_unseen[1]
    expected = (*train, *val_seen, *val_unseen, *test_seen, num_unseen)
    assert tuple(counts[partition].clips for partition in PARTITIONS) == expected
    assert [sum(counts[p].clips for p in TRAINING_PARTITIONS[2])] == stage_2
    num_classes = classes[3] if which == "main" else test_unseen[2]
    found = (counts["train"], counts["val_unseen"], counts["test_unseen"])
    assert tuple(count.classes for count in found) == (classes[1], classes[2], num_classes)


@pytest.mark.parametrize(("benchmark", "which"), BOTH)
def test_the_audit_counts_exactly_the_shared_recordings(benchmark: str, which: str) -> None:
    """Against a count that shares no code with the audit."""
    result = built(benchmark, which)[1]
    failed = {check.name: check for check in result.checks if not check.passed}
    assert set(failed) == {"sources_in_one_partition", "sources_not_trained_on"}
    assert {check.level for check in failed.values()} == {"warning"}

    def recordings(stage: str) -> list[str]:
        names = [row["filename"] for row in rows_of(benchmark, which, stage)]
        return [re.sub(r"_c\d+$" if benchmark == "UCF" else r"_\d+$", "", name) for name in names]

    trained = {"val": set(recordings("stage_1_train")), "test": set(recordings("stage_2_train"))}
    expected = {
        partition: sum(one in trained[partition.split("_")[0]] for one in recordings(stage))
        for partition, stage in STAGES.items()
        if partition != "train"
    }
    assert failed["sources_not_trained_on"].by_partition == expected
    said = shared_folder("FACTS.md").read_text(encoding="utf-8")
    leaks = said[said.index("Source leakage in the official") :].split("Not countable")[0]
    ours = leaks[leaks.index(f"{benchmark}:") :].split(".\n")[0].split(". ActivityNet")[0]
    for partition in ("test_seen", "val_seen"):
        numbers = re.search(rf"(?:all )?([\d,]+)(?: of [\d,]+)? {partition}", ours)
        assert numbers
        assert expected[partition] == int(numbers.group(1).replace(",", ""))


def test_a_clip_has_one_class_however_it_is_spelled() -> None:
    for benchmark in COMPLETE:
        spelled: dict[str, set[str]] = {}
        for clip in clips_of(benchmark):
            spelled.setdefault(class_key(clip.class_name), set()).add(clip.class_name)
        assert {len(names) for names in spelled.values()} == {1}
        folder = shared_folder("official", "avgzsl_benchmark_datasets", benchmark, "class-split")
        known = set((folder / "all_class.txt").read_text().split("\n"))
        assert {name for names in spelled.values() for name in names} <= known


def test_a_clip_of_a_dropped_class_is_excluded_with_that_reason() -> None:
    result = built("UCF", "cls")[1]
    listed = rows_of("UCF", "main", "stage_2_test_unseen")
    kept = {row["filename"] for row in rows_of("UCF", "cls", "stage_2_test_unseen")}
    dropped = {row["filename"] for row in listed} - kept
    assert dropped
    assert set(result.excluded) == dropped
    reasons = set(result.excluded.values())
    assert reasons == {"its class is not in cls_split/stage_2_test_unseen.txt"}


@pytest.mark.parametrize("benchmark", COMPLETE)
def test_grouped_clips_are_the_published_ones_without_their_leak(benchmark: str) -> None:
    clips = clips_of(benchmark)
    published, _ = built(benchmark, "main")
    settings = official_grouped.Settings(path=published.path, benchmark=benchmark, seed=3)
    grouped = official_grouped.build(settings, clips)
    result = audit_split(SplitUnderAudit(clips, grouped), settings.audit.by_check())
    assert result.passed, [check for check in result.checks if not check.passed]
    before = {row.clip_id: row for row in official.build(published, clips).clips}
    assert {row.clip_id for row in grouped.clips} | set(grouped.excluded) == set(before)
    assert len(grouped.excluded) <= 0.001 * len(before)
    for partition in ("val_unseen", "test_unseen"):
        classes = {row.class_name for row in grouped.clips if row.partition == partition}
        assert classes == {row.class_name for row in before.values() if row.partition == partition}
    shares = [
        sum(row.partition == "test_seen" for row in rows) / len(rows)
        for rows in (grouped.clips, list(before.values()))
    ]
    assert shares[0] == pytest.approx(shares[1], abs=0.03)


def test_incomplete_lists_are_refused_by_name() -> None:
    settings = official.Settings(path=shared_folder("official"), benchmark="VGGSound")
    folder = shared_folder("official", "avgzsl_benchmark_datasets", "VGGSound", "class-split")
    if (folder / "main_split" / "stage_1_train.csv").exists():
        pytest.skip("the lists are complete here")
    with pytest.raises(PipelineError, match=r"stage_1_train\.csv: no such file"):
        official.inputs(settings)
    counts = Counter(clip.clip_id for clip in clips_of("VGGSound"))
    (_, _, val_seen, val_unseen, _, test_seen, test_unseen) = facts("VGGSound")
    assert sum(counts.values()) == val_seen[0] + val_unseen[0] + test_seen[0] + test_unseen[0]
    assert set(counts.values()) == {1}


def write_layout(folder: Path, dims: dict[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """Writes features of some clips of each list, and returns them by modality and clip."""
    rng = np.random.default_rng(7)
    written: dict[str, dict[str, np.ndarray]] = {modality: {} for modality in dims}
    for stage in (*STAGES.values(), "stage_2_train"):
        members: dict[str, list[str]] = {}
        for row in rows_of("UCF", "main", stage):
            members.setdefault(row["label"], []).append(row["filename"])
        for (label, clips), (modality, dim) in itertools.product(members.items(), dims.items()):
            known = written[modality]
            for clip in clips[:5]:
                known.setdefault(clip, rng.standard_normal(dim, np.float32))
            file = folder / modality / stage / f"{label}.h5"
            file.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(file, "w") as opened:
                opened["data"] = np.stack([known[clip] for clip in clips[:5]])
                ending = ".avi" if modality == "video" else ""
                names = [f"{clip}{ending}".encode() for clip in clips[:5]]
                opened.create_dataset("video_urls", data=names, dtype="S80")
    return written


def test_imported_features_reach_their_clips(tmp_path: Path) -> None:
    written = write_layout(tmp_path / "features", {"audio": 3, "video": 5})
    clips = clips_of("UCF")
    for modality, expected in written.items():
        for name in manifest.shard_names(2):
            shard = [clip for clip in clips if manifest.shard_of(clip.clip_id, 2) == name]
            manifest.write(tmp_path / f"{name}.csv", shard)
            settings = {"modality": modality, "path": str(tmp_path / "features")}
            import_.run(
                import_request(**settings),
                tmp_path / f"{name}.csv",
                tmp_path / modality / f"{name}.h5",
            )
        found = feature_shards.read(sorted((tmp_path / modality).glob("*.h5")))
        assert set(found.clip_ids) == set(expected)
        assert found.attributes["backbone"] == found.attributes["weights"] == "imported"
        assert json.loads(found.attributes["preprocessing"]) == settings
        assert set(found.rejected) == {clip.clip_id for clip in clips} - set(expected)
        rows: Any = found.features
        np.testing.assert_array_equal(
            np.concatenate([*rows.blocks()]), np.stack([expected[clip] for clip in found.clip_ids])
        )


def test_contradicting_features_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "features"
    write_layout(folder, {"audio": 3})
    manifest.write(tmp_path / "clips.csv", clips_of("UCF"))
    file = next(folder.glob("audio/stage_2_train/*.h5"))
    settings = {"modality": "audio", "path": str(folder)}
    with h5py.File(file, "r+") as opened:
        opened["data"][0] += 1
    with pytest.raises(PipelineError, match="has another feature here"):
        import_.run(import_request(**settings), tmp_path / "clips.csv", tmp_path / "out.h5")
    file.rename(file.with_name("Wrong.h5"))
    with pytest.raises(PipelineError, match=r"Wrong\.h5: has clip"):
        import_.run(import_request(**settings), tmp_path / "clips.csv", tmp_path / "out.h5")
    for broken in (b"", b"no HDF5"):
        file.with_name("Wrong.h5").write_bytes(broken)
        with pytest.raises(PipelineError, match=r"Wrong\.h5: cannot be read"):
            import_.run(import_request(**settings), tmp_path / "clips.csv", tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_the_split_stage_writes_an_official_split(tmp_path: Path) -> None:
    manifest.write(tmp_path / "manifest.csv", clips_of("UCF"))
    chosen: dict[str, Any] = {"path": str(shared_folder("official")), "benchmark": "UCF"}
    chosen["lists"] = "cls"
    settings = {"plugin": "official", "settings": chosen, "backbones": {}}
    out, audited = tmp_path / "cls.csv", tmp_path / "cls.audit.json"
    split_stage.run(split_request(**settings), tmp_path / "manifest.csv", out, audited)
    rows = split.read(out)
    for partition, stage in STAGES.items():
        found = {row.clip_id for row in rows if row.partition == partition}
        assert found == {row["filename"] for row in rows_of("UCF", "cls", stage)}
    assert not audits.read_split_audit(audited).passed
    chosen["audit"] = {"sources_not_trained_on": "error"}
    out.unlink()
    audited.unlink()
    with pytest.raises(PipelineError, match="sources_not_trained_on"):
        split_stage.run(split_request(**settings), tmp_path / "manifest.csv", out, audited)
    assert not out.exists()
    assert not audits.read_split_audit(audited).passed  # what has failed can be read up
