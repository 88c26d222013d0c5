"""What makes which jobs run again, for every stage, read off Snakemake's own plan.

Extraction and training are stood in for; lists of clips, media and splits are real.
"""

from __future__ import annotations

import copy
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow import standing_in
from tests.workflow.driving import planned, snakemake

NUM_CLASSES, NUM_FILES, NUM_SHARDS = 8, 3, 2
CLIP = "media/class 0/clip 0.mp4"
RESULTS = "results/mine"
SHARD = f"{RESULTS}/features/c3d/00000-of-00002.h5"

CONFIG: dict[str, Any] = {
    "datasets": {"mine": {"plugin": "folder", "path": "media", "num_shards": NUM_SHARDS}},
    "backbones": {
        "c3d": {"weights": "weights.pickle", "pretraining_classes": "sports.txt"},
        "vggish": {
            "weights": "vggish.pth",
            "postprocess": "pca-quantised",
            "pca_weights": "pca.pth",
        },
    },
    "imported": {"theirs": {"modality": "video", "path": "features"}},
    "feature_sets": {
        "ours": {"video": "c3d", "audio": "vggish"},
        "mixed": {"video": "theirs", "audio": "vggish"},
    },
    "text_embeddings": {"words": {"plugin": "precomputed", "path": "vectors.npy"}},
    "splits": {"built": {}},
    "models": {"avca": {"search": {"learning_rate": [0.001, 0.002]}}},
    "experiment": {
        "datasets": ["mine"], "feature_sets": ["ours", "mixed"], "text_embeddings": ["words"],
        "splits": ["built"], "models": ["avca"], "seeds": [0],
    },
}  # fmt: skip

AFTER_STAGE1 = {"select": 2, "train_stage2": 2, "evaluate": 2, "report": 1}
TRAINING = {"train_stage1": 4, **AFTER_STAGE1}
ONE_SET = {"train_stage1": 2, "select": 1, "train_stage2": 1, "evaluate": 1, "report": 1}
EVERYTHING = {
    "manifest": 1, "embed": 1, "split": 1, "fetch": 2, "extract": 4, "import": 2, "gather": 3,
    "audit": 1, **TRAINING,
}  # fmt: skip
# What a change of one clip's media makes run: its own shard alone, and what is made of all shards.
OF_ONE_CLIP = {"fetch": 1, "extract": 2, "gather": 2, "audit": 1, **TRAINING}
OF_THE_LIST = {"manifest": 1, "embed": 1, "split": 1, "import": 1, **OF_ONE_CLIP, "gather": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all jobs have run once."""
    folder = tmp_path_factory.mktemp("staleness")
    for number in range(NUM_CLASSES):
        (folder / f"media/class {number}").mkdir(parents=True)
        for index in range(NUM_FILES):
            path = folder / f"media/class {number}/clip {index}.mp4"
            path.write_text(f"no film, number {number} {index}")
    for name in ("weights.pickle", "vggish.pth", "pca.pth", "vectors.npy"):
        (folder / name).write_text(name)
    (folder / "sports.txt").write_text("archery\n")
    (folder / "features/video/stage_1_train").mkdir(parents=True)
    (folder / "features/video/stage_1_train/a.h5").write_text("features")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    python = standing_in.stand_in(folder, real=("manifest", "split", "fetch"))
    assert standing_in.run(folder, python) == EVERYTHING
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    shutil.copytree(made, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def changed(path: str, text: str = "other") -> Callable[[Path], None]:
    """Returns what writes something else into a file, with the date that it had."""

    def change(folder: Path) -> None:
        status = (folder / path).stat()
        (folder / path).write_text(text)
        os.utime(folder / path, ns=(status.st_atime_ns, status.st_mtime_ns))

    return change


def of_the_same_size(folder: Path) -> None:
    (folder / CLIP).write_text((folder / CLIP).read_text().replace("film", "song"))


def by_rename(folder: Path) -> None:
    (folder / "new").write_text("a film")
    os.utime(folder / "new", (1e9, 1e9))
    (folder / "new").replace(folder / CLIP)


def clip_added(folder: Path) -> None:
    (folder / "media/class 0/clip 9.mp4").write_text("no film")


def clip_removed(folder: Path) -> None:
    (folder / CLIP).unlink()


def touched_media(folder: Path) -> None:
    for path in (folder / "media").rglob("*"):
        os.utime(path, (time.time() + 86_400,) * 2)


def hidden_file(folder: Path) -> None:
    (folder / "media/class 0/.DS_Store").write_text("x")


def empty_class(folder: Path) -> None:
    (folder / "media/class 9").mkdir()


def touched_inputs(folder: Path) -> None:
    for name in (
        "weights.pickle",
        "vectors.npy",
        "sports.txt",
        "features/video/stage_1_train/a.h5",
    ):
        os.utime(folder / name, (time.time() + 86_400,) * 2)


def copied_without_dates(folder: Path) -> None:
    """Later files are the older ones, as a copy in the order of names may leave them."""
    shutil.rmtree(folder / ".snakemake")
    for index, path in enumerate(sorted((folder / "results").rglob("*"), reverse=True)):
        os.utime(path, (1e9 + index,) * 2)


def results_of_the_future(folder: Path) -> None:
    for path in (folder / "results").rglob("*"):
        os.utime(path, (time.time() + 86_400,) * 2)


def media_moved_away(folder: Path) -> None:
    """The features are there: media are not needed any more."""
    for path in (folder / "media").rglob("*.mp4"):
        text = path.name
        path.unlink()
        path.symlink_to(f"/not mounted/{text}")


def record_lost(folder: Path) -> None:
    (folder / "results/records/mine/features/c3d/00000-of-00002.h5.json").unlink()


def nothing(folder: Path) -> None:
    pass


OF_C3D = {"extract": 2, "gather": 1, "audit": 1, **ONE_SET}
OF_A_SHARD = {**OF_C3D, "extract": 1}
OF_IMPORTED = {"import": 2, "gather": 1, "audit": 1, **ONE_SET}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (nothing, {}),
        (touched_media, {}),
        (hidden_file, {}),
        (empty_class, {}),
        (touched_inputs, {}),
        (copied_without_dates, {}),
        (results_of_the_future, {}),
        (media_moved_away, {}),
        (changed(CLIP), OF_ONE_CLIP),
        (of_the_same_size, OF_ONE_CLIP),
        (by_rename, OF_ONE_CLIP),
        (clip_added, OF_THE_LIST),
        (clip_removed, OF_THE_LIST),
        (changed("weights.pickle"), OF_C3D),
        (changed("pca.pth"), {"extract": 2, "gather": 1, "audit": 1, **TRAINING}),
        (changed("vectors.npy"), {"embed": 1, "audit": 1, **TRAINING}),
        (changed("sports.txt"), {"split": 1, "audit": 1, **TRAINING}),
        (changed("features/video/stage_1_train/a.h5"), OF_IMPORTED),
        # What was changed by hand, or by a job of another run, is not used.
        (changed(SHARD), OF_A_SHARD),
        (record_lost, OF_A_SHARD),
        (changed(f"{RESULTS}/splits/built.csv"), {"split": 1, "audit": 1, **TRAINING}),
        (changed(f"{RESULTS}/labels/words.h5"), {"embed": 1, "audit": 1, **TRAINING}),
    ],
)
def test_what_a_change_of_files_makes_run(
    folder: Path, change: Callable[[Path], None], expected: dict[str, int]
) -> None:
    """With a profile of the user's own, which has none of the lines of ours."""
    change(folder)
    assert planned(folder, None, "--workflow-profile", "none") == expected


def with_value(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Returns what sets a key of the config."""

    def change(config: dict[str, Any]) -> None:
        for key in keys[:-1]:
            config = config.setdefault(key, {})
        config[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (with_value("cache", value="elsewhere"), {}),
        (with_value("jobs_per_gpu", value=2), {}),
        (with_value("download", value={"workers": 3}), {}),
        (with_value("datasets", "mine", "num_shards", value=3),
         {**OF_THE_LIST, "embed": 0, "split": 0, "fetch": 3, "extract": 6, "import": 3}),
        (with_value("datasets", "mine", "source_pattern", value="(clip)"),
         {**EVERYTHING}),
        (with_value("datasets", "mine", "max_missing", value=0.9), {"audit": 1, "report": 1}),
        (with_value("limits", "max_pixels", value=10**6),
         {"extract": 4, "gather": 2, "audit": 1, **TRAINING}),
        (with_value("backbones", "c3d", "preprocessing", value="official-script"),
             {**OF_C3D, "split": 1, **TRAINING}),
        (with_value("imported", "theirs", "path", value="features/../features"), OF_IMPORTED),
        (with_value("splits", "built", "seed", value=1), {"split": 1, "audit": 1, **TRAINING}),
        (with_value("splits", "built", "audit", "media_not_trained_on", value="warning"),
         {"split": 1, "audit": 1, **TRAINING}),
        (with_value("feature_sets", "ours", "scaling", value="standard"), ONE_SET),
        (with_value("models", "avca", "epochs", value=3), TRAINING),
        (with_value("models", "avca", "search", "learning_rate", value=[0.001, 0.003]),
         {"train_stage1": 2, **AFTER_STAGE1}),
        (with_value("experiment", "seeds", value=[0, 1]), TRAINING),
    ],
)  # fmt: skip
def test_what_a_change_of_the_config_makes_run(
    folder: Path,
    change: Callable[[dict[str, Any]], None],
    expected: dict[str, int],
) -> None:
    """Where what Snakemake noted about the results is gone: nothing else is known there."""
    copied_without_dates(folder)
    config = copy.deepcopy(CONFIG)
    change(config)
    assert planned(folder, config) == {rule: jobs for rule, jobs in expected.items() if jobs}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            with_value("models", "avca", "weight_decay", value=0.25),
            ["train_stage1: 2 results to be made anew: "
             f"candidates.learning_rate={rate}.weight_decay is 0.25, was 1e-05"
             for rate in (0.001, 0.002)]
            + ["train_stage2: 2 results to be made anew: "
               "candidates.learning_rate=0.001.weight_decay is 0.25, was 1e-05; "
               "candidates.learning_rate=0.002.weight_decay is 0.25, was 1e-05"],
        ),
        (
            with_value("backbones", "c3d", "preprocessing", value="official-script"),
            ['extract: 2 results to be made anew: '
             'settings.preprocessing is "official-script", was "sports1m"',
             'split: 1 result to be made anew: '
             'backbones.c3d.settings.preprocessing is "official-script", was "sports1m"'],
        ),
        (
            with_value("splits", "built", "seed", value=1),
            [f"{rule}: 1 result to be made anew: settings.seed is 1, was 0"
             for rule in ("split", "audit")],
        ),
    ],
)  # fmt: skip
def test_the_plan_names_the_key_that_has_changed(
    folder: Path, change: Callable[[dict[str, Any]], None], expected: list[str]
) -> None:
    config = copy.deepcopy(CONFIG)
    change(config)
    done = snakemake(folder, config, "--dry-run")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "to be made anew" in line]
    assert lines == [f"avca: {line}" for line in expected]


def test_the_plan_says_which_file_has_changed(folder: Path) -> None:
    changed("vectors.npy")(folder)
    changed(CLIP)(folder)
    done = snakemake(folder, None, "--dry-run")
    lines = [line for line in done.stderr.splitlines() if "to be made anew" in line]
    assert sorted(lines) == [
        "avca: embed: 1 result to be made anew: the clips, or the files that the config names, "
        "have changed",
        f"avca: fetch: 1 result to be made anew: {CLIP} has changed",
    ]


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("manifest", {"manifest": 1}),  # and nothing is made of the same list again
        ("fetch", {"fetch": 2, "extract": 4, "gather": 2, "audit": 1, **TRAINING}),
        ("extract", {"extract": 4, "gather": 2, "audit": 1, **TRAINING}),
        ("import", OF_IMPORTED),
        ("gather", {"gather": 3, "audit": 1, **TRAINING}),
        ("embed", {"embed": 1, "audit": 1, **TRAINING}),
        ("split", {"split": 1, "audit": 1, **TRAINING}),
        ("audit", {"audit": 1, "report": 1}),
        ("train", TRAINING),
        ("select", AFTER_STAGE1),
        ("evaluate", {"evaluate": 2, "report": 1}),
        ("report", {"report": 1}),
    ],
)
def test_what_another_version_of_a_stage_makes_run(
    folder: Path,
    stage: str,
    expected: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = f"import avca_pipeline.stages\navca_pipeline.stages.VERSIONS[{stage!r}] += 1\n"
    (tmp_path / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    assert planned(folder, None) == expected


def test_a_rule_that_is_asked_for(folder: Path) -> None:
    expected = {"fetch": 2, "extract": 4, "gather": 2, "audit": 1, **TRAINING}
    assert planned(folder, None, "--forcerun", "fetch") == expected


def test_training_waits_for_the_audit(folder: Path) -> None:
    """An audit that is not there is made before the first training, and changes none."""
    (folder / RESULTS / "audits/built.json").unlink()
    shutil.rmtree(folder / RESULTS / "runs")
    assert planned(folder, None, f"{RESULTS}/runs/built/ours/words/avca/seed0/selection.json") == {
        "audit": 1, "train_stage1": 2, "select": 1,
    }  # fmt: skip
