"""The real workflow on a tiny dataset: runs, re-runs, interruptions, and mistakes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from avca_pipeline.artifacts import features, fetched
from avca_pipeline.datasets import demo
from tests.made_up_gpus import Machine
from tests.workflow.driving import planned, snakemake, tiny


def test_everything_is_there_and_accounted_for(finished: Path) -> None:
    root = finished / "results"
    assert "<table" in (root / "report.html").read_text()
    rows = [row for path in (root / "tiny/fetched").glob("*.csv") for row in fetched.read(path)]
    listed = demo.clips(demo.Settings(num_classes=6, sources_per_class=3))
    assert sorted(row.clip_id for row in rows) == sorted(clip.clip_id for clip in listed)
    rejected = {row.clip_id: row.reason for row in rows if row.status == fetched.REJECTED}
    for backbone in ("frames", "vggish"):
        value = features.read(root / f"tiny/features/{backbone}.h5")
        usable = {row.clip_id for row in rows if row.status == fetched.OK}
        assert set(value.clip_ids) | set(value.rejected) == usable
        rejected |= value.rejected
    reasons = {clip.rsplit("-", 2)[-1]: why.split(":")[0] for clip, why in rejected.items()}
    assert reasons == {
        "audio": "no audio stream",
        "video": "no video stream",
        "truncated": "not a media file",
        "empty": "empty file",
    }
    assert all(reason in (root / "report.html").read_text() for reason in reasons.values())


def test_a_second_run_does_nothing(finished: Path) -> None:
    assert planned(finished, None) == {}
    done = snakemake(finished, None)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def change_learning_rate(config: dict) -> None:
    config["models"]["avca"]["search"]["learning_rate"] = [0.001, 0.002]


def change_epochs(config: dict) -> None:
    config["models"]["avca"]["epochs"] = 3


def change_backbone(config: dict) -> None:
    config["backbones"]["vggish"]["seed"] = 1


def add_seed(config: dict) -> None:
    config["experiment"]["seeds"] = [0, 1]


def change_cache(config: dict) -> None:
    config["cache"] = "elsewhere"


AFTER_STAGE1 = {"select": 1, "train_stage2": 1, "evaluate": 1, "report": 1}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (change_learning_rate, {"train_stage1": 1, **AFTER_STAGE1}),
        (change_epochs, {"train_stage1": 2, **AFTER_STAGE1}),
        (
            change_backbone,
            {"extract": 2, "gather": 1, "audit": 1, "train_stage1": 2, **AFTER_STAGE1},
        ),
        (add_seed, {"train_stage1": 2, **AFTER_STAGE1}),
        (change_cache, {}),
    ],
)
def test_a_change_reruns_what_depends_on_it(
    folder: Path, change: Callable[[dict], None], expected: dict[str, int]
) -> None:
    config = tiny()
    change(config)
    assert planned(folder, config) == expected


def test_a_comment_reruns_nothing(folder: Path) -> None:
    text = "# a comment\n" + yaml.safe_dump(dict(reversed(tiny().items()))) + "# another\n"
    assert planned(folder, text) == {}


@pytest.mark.parametrize(("jobs_per_gpu", "threads"), [(1, 4), (2, 2)])
def test_jobs_on_several_gpus_share_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs_per_gpu: int, threads: int
) -> None:
    machine = Machine(tmp_path)
    machine.add_driver()
    machine.add_torch("13.0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in machine.variables.items():
        monkeypatch.setenv(name, value)
    config = tiny(jobs_per_gpu=jobs_per_gpu)
    done = snakemake(tmp_path / "run", config, "--dry-run", "--cores", "8")
    extracts = re.findall(r"^rule extract:\n(?: +.*\n)*? +threads: (\d+)$", done.stdout, re.M)
    assert extracts == [str(threads)] * 4, done.stdout + done.stderr


def a_class_with_one_source(folder: Path) -> dict[str, Any]:
    rows = ["clip_id,source_id,class_name,path_or_url,start_s,end_s"]
    rows += [f"c{k}-{s},s{k}-{s},class {k},no.mp4,," for k in range(8) for s in range(1)]
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return {"datasets": {"tiny": {"plugin": "table", "path": str(folder / "clips.csv")}}}


def a_clip_twice(folder: Path) -> dict[str, Any]:
    rows = ["clip_id,source_id,class_name,path_or_url,start_s,end_s"]
    (folder / "clips.csv").write_text("\n".join([*rows, *["c,s,class,no.mp4,,"] * 2]) + "\n")
    return {"datasets": {"tiny": {"plugin": "table", "path": str(folder / "clips.csv")}}}


def an_unknown_key(folder: Path) -> dict[str, Any]:
    return {"models": {"avca": {"epoch": 3}}}


def a_missing_folder(folder: Path) -> dict[str, Any]:
    return {"datasets": {"tiny": {"plugin": "folder", "path": str(folder / "nowhere")}}}


def a_wrong_checksum(folder: Path) -> dict[str, Any]:
    (folder / "weights.pth").write_bytes(b"not these")
    frames = {"plugin": "timm_frames", "weights": str(folder / "weights.pth"), "sha256": "0" * 64}
    return {"backbones": {"frames": frames, "vggish": {}}}


def a_features_file_of_another_version(folder: Path) -> dict[str, Any]:
    import h5py

    path = folder / "results/tiny/features/frames/00000-of-00002.h5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file.attrs["kind"], file.attrs["format_version"] = "features", 99
    return {}


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (an_unknown_key, "models.avca: unknown key 'epoch'; did you mean 'epochs'?"),
        (a_missing_folder, "nowhere: the raw folder cannot be read"),
        (a_clip_twice, "clip_id 'c' occurs twice"),
        (a_class_with_one_source, "has 1 source(s) but needs"),
        (a_wrong_checksum, f"expected {'0' * 64}"),
        (
            a_features_file_of_another_version,
            f"format version 99, this release reads {features.FORMAT_VERSION}",
        ),
    ],
)
def test_a_mistake_stops_before_any_long_work(
    tmp_path: Path, mistake: Callable[[Path], dict[str, Any]], message: str
) -> None:
    done = snakemake(tmp_path, tiny(**mistake(tmp_path)))
    lines = [line for line in done.stderr.splitlines() if message in line]
    assert done.returncode == 1
    assert lines, done.stderr
    assert lines[0].startswith("avca")
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "results").rglob("fetched/*"))
