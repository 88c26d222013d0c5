"""The section ``apply`` of a config: mistakes, what follows from it, clips without classes."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from avca_pipeline import config as avca_config
from avca_pipeline.artifacts import manifest
from avca_pipeline.config import Config
from avca_pipeline.errors import PipelineError
from avca_pipeline.planning import plan
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.jobs import Jobs
from avca_pipeline.stages import VERSIONS
from avca_pipeline.stages import manifest as stage
from tests.builders import manifest_request
from tests.conftest import REPOSITORY

DEMO: dict[str, Any] = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
RUN = "results/demo/runs/built/c3d-vggish/hashed/avca/seed0"
OF_BUNDLE = ("datasets", "backbones", "feature_sets")


def demo(entry: dict[str, Any] | None, **sections: Any) -> dict[str, Any]:
    """Returns the demo's config with an entry ``mine`` under ``apply``."""
    return copy.deepcopy(DEMO) | {"apply": {"mine": entry}} | sections


def lines(written: dict[str, Any]) -> list[str]:
    """Returns all mistakes of a config and of the files that it names."""
    try:
        avca_config.check_inputs(avca_config.parse(written))
    except PipelineError as error:
        return list(error.lines)
    return []


TWO_SETS = {"one": {"video": "c3d"}, "two": {"audio": "vggish"}}
ON_TEST = {"models": {"avca": {"chosen_on_test": True}}}
MISTAKES = [
    ({"run": RUN}, {}, "apply.mine.dataset: is missing; add it: name under datasets"),
    ({"dataset": "dmeo", "run": RUN}, {}, "dataset: 'dmeo' is not under datasets; did you mean"),
    ({"dataset": "demo"}, {}, "apply.mine: name either run, a trained run or a bundle, or zero_s"),
    ({"dataset": "demo", "run": RUN, "zero_shot": "c3d-vggish"}, {}, "apply.mine: name either run"),
    ({"dataset": "demo", "zero_shot": "c3d-vggish"}, {}, "so give classes to choose among"),
    ({"dataset": "demo", "zero_shot": "c3d", "classes": ["a"]}, {}, "'c3d' is not under feature_s"),
    ({"dataset": "demo", "run": RUN, "clases": ["a"]}, {}, "'clases'; did you mean 'classes'?"),
    ({"dataset": "demo", "run": RUN, "top": 0}, {}, "top: expected a whole number from 1"),
    ({"dataset": "demo", "run": RUN, "classes": []}, {}, "classes: expected a list of class names"),
    ({"dataset": "demo", "run": RUN, "classes": ["a", 3]}, {}, "found 3; put it in quotes"),
    ({"dataset": "demo", "run": RUN, "classes": ["a", " a"]}, {}, "'a' is named twice"),
    ({"dataset": "demo", "run": RUN, "classes": "no.txt"}, {}, "classes: no.txt: cannot be read"),
    ({"dataset": "demo", "run": RUN[:-1] + "9"}, {}, "did you mean 'results/demo/runs/built/c3d-"),
    ({"dataset": "demo", "run": "a.zip"}, {}, "apply.mine.run: a.zip: neither a run of the experi"),
    ({"dataset": "demo", "run": RUN, "feature_set": "two"}, {}, "'two' is not under feature_sets"),
    ({"dataset": "demo", "run": "a.zip"}, {"feature_sets": DEMO["feature_sets"] | TWO_SETS},
     "apply.mine.feature_set: is missing; name the one whose backbones make features"),
    ({"dataset": "demo", "run": RUN, "feature_set": "two"},
     {"feature_sets": DEMO["feature_sets"] | TWO_SETS}, "but the run has 'c3d-vggish'; remove"),
    ({"dataset": "demo", "run": RUN}, ON_TEST, "models.avca is chosen on the test clips"),
    (["demo"], {}, "apply.mine: expected keys and values"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "sections", "expected"), MISTAKES)
def test_each_mistake_is_one_line(
    entry: dict[str, Any],
    sections: dict[str, Any],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (line,) = lines(demo(entry, **sections))
    assert expected in line
    assert line.startswith("apply.mine")


def test_a_bundle_needs_no_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.zip").touch()
    small = {name: DEMO[name] for name in OF_BUNDLE}
    entry = {"dataset": "demo", "run": "mine.zip"}
    assert lines({**small, "apply": {"mine": entry}}) == []
    broken = {**small, "apply": {"mine": entry}, "experiment": DEMO["experiment"]}
    missing = [line.partition(":")[0] for line in lines(broken)]
    assert missing == ["text_embeddings", "splits", "models"]

    # Only what is applied is made: neither other clips nor the features of other backbones.
    small["datasets"] = {**DEMO["datasets"], "other": {"plugin": "demo"}}
    small["feature_sets"] = {"sound": {"audio": "vggish"}}
    config = avca_config.parse({**small, "apply": {"mine": entry}})
    assert config.used_features() == [("demo", "vggish")]
    assert (config.used_names("datasets"), config.used_backbones()) == (["demo"], ["vggish"])
    assert [job.rule for job in jobs_of(config, tmp_path)] == [
        "manifest", "fetch", "extract", "gather", "apply", "report"
    ]  # fmt: skip


def jobs_of(config: Config, folder: Path) -> Jobs:
    return Jobs(config, VERSIONS, Digests(folder / "digests.json"))


def test_a_run_is_known_by_each_way_to_write_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for written in (RUN, f"{RUN}/", f"./{RUN}", str(tmp_path / RUN)):
        config = avca_config.parse(demo({"dataset": "demo", "run": written}))
        job = jobs_of(config, tmp_path)("apply", "demo", "mine")
        assert job.outputs == ("demo/predictions/mine.csv",)
        read = {option: [file.path for file in files] for option, files in job.inputs.items()}
        assert read["scores"] == [f"{RUN.removeprefix('results/')}/scores.json"]
        assert read["checkpoint"] == [f"{RUN.removeprefix('results/')}/stage2.pt"]
        assert read["video"] == ["demo/features/c3d.h5"]
        assert "split" not in read


def test_a_run_on_one_modality_needs_no_other(tmp_path: Path) -> None:
    experiment = {**DEMO["experiment"], "modalities": ["audio"]}
    entry = {"dataset": "new", "run": RUN.replace("avca", "avca+audio")}
    media = tmp_path / "media"
    media.mkdir()
    (media / "a.wav").touch()
    new = {"plugin": "folder", "path": str(media), "labelled": False}
    datasets = {**DEMO["datasets"], "new": new}
    config = avca_config.parse(demo(entry, experiment=experiment, datasets=datasets))
    assert [name for owner, name in config.used_features() if owner == "new"] == ["vggish"]
    assert config.used_splits() == [("demo", "built")]


def test_what_decides_the_answers_decides_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("a\nb\n")
    (tmp_path / "mine.zip").write_text("a bundle")

    def recipe(**entry: Any) -> str:
        written = demo({"dataset": "demo", "run": RUN, **entry})
        return jobs_of(avca_config.parse(written), tmp_path)("apply", "demo", "mine").recipe

    found = [
        recipe(), recipe(classes=["a"]), recipe(classes=["a", "b"]), recipe(top=3),
        recipe(leave_out_seen=True), recipe(run=RUN[:-1] + "1"), recipe(run="mine.zip"),
        recipe(classes="names.txt"),
    ]  # fmt: skip
    (tmp_path / "names.txt").write_text("a\nc\n")
    (tmp_path / "mine.zip").write_text("another one")
    found += [recipe(run="mine.zip"), recipe(classes="names.txt")]
    assert len(set(found)) == len(found)
    assert recipe() == found[0]


def clips_of(plugin: str, tmp_path: Path, **settings: Any) -> list[manifest.Clip]:
    """Returns what the stage `manifest` writes of a dataset without classes."""
    request = manifest_request(plugin, {"labelled": False, **settings}, 2)
    stage.run(request, tmp_path / "manifest.csv", tmp_path / "shards")
    of_shards = [manifest.read(path) for path in sorted((tmp_path / "shards").iterdir())]
    whole = manifest.read(tmp_path / "manifest.csv")
    joined = itertools.chain.from_iterable(of_shards)
    assert sorted(joined, key=lambda clip: clip.clip_id) == whole
    assert {clip.class_name for clip in whole} == {""}
    return whole


def test_all_files_below_a_folder_are_clips_without_classes(tmp_path: Path) -> None:
    (tmp_path / "media/below/deep").mkdir(parents=True)
    for name in ("b.mp4", "a.mp4", "below/a.mp4", "below/deep/c d.mkv", ".hidden"):
        (tmp_path / "media" / name).touch()
    found = clips_of("folder", tmp_path, path=str(tmp_path / "media"))
    assert [clip.clip_id for clip in found] == [
        "a.mp4", "b.mp4", "below/a.mp4", "below/deep/c d.mkv"
    ]  # fmt: skip
    assert {clip.reason for clip in found} == {""}
    assert len({clip.source_id for clip in found}) == len(found)


def test_a_table_needs_no_column_of_classes(tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    table.write_text("clip_id,path_or_url,start_s,end_s\none,a.mp4,,\ntwo,a.mp4,1.5,2\n")
    found = clips_of("table", tmp_path, path=str(table))
    assert [(clip.clip_id, clip.source_id, clip.start_s) for clip in found] == [
        ("one", "a.mp4", None), ("two", "a.mp4", 1.5)
    ]  # fmt: skip
    table.write_text("clip_id,source_id,class_name,path_or_url,start_s,end_s\none,s,,a.mp4,,\n")
    assert len(clips_of("table", tmp_path, path=str(table))) == 1
    with pytest.raises(PipelineError, match="clip 'one' has no class_name"):
        stage.run(manifest_request("table", {"path": str(table)}, 1), table, tmp_path)


def test_clips_without_classes_are_for_apply_alone(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    new = {"plugin": "folder", "path": str(tmp_path), "labelled": False}
    (line,) = lines(copy.deepcopy(DEMO) | {"datasets": {"demo": new}})
    assert line.startswith("experiment.datasets: the clips of 'demo' have no classes")


def test_the_plan_names_what_is_applied(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    new = {"plugin": "folder", "path": str(tmp_path), "labelled": False}
    config = avca_config.parse(
        demo({"dataset": "new", "run": RUN}, datasets={**DEMO["datasets"], "new": new})
    )
    found = plan.lines(config, plan.Device((), 2))
    assert "clips: new: 2 clips without classes" in found
    assert "apply: mine classifies new" in found


def test_encoders_and_text_embedding_must_share_a_space(tmp_path: Path) -> None:
    """Networks with random weights share none with hashed words."""
    entry = {"dataset": "demo", "zero_shot": "c3d-vggish", "classes": ["a", "b"]}
    small = {name: DEMO[name] for name in (*OF_BUNDLE, "text_embeddings")}
    config = avca_config.parse({**small, "cache": str(tmp_path), "apply": {"mine": entry}})
    with pytest.raises(PipelineError, match=r"^apply\.mine\.zero_shot: compares features with"):
        avca_config.check_shared_spaces(config)
