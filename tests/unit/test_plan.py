"""The plan that ``avca check`` prints: what a run has to do, computed here by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from avca_pipeline import cli
from avca_pipeline.config import parse
from avca_pipeline.planning import plan
from avca_pipeline.planning.plan import Device

ONE_CORE = Device((), 1)
HEADER = "clip_id,source_id,class_name,path_or_url,start_s,end_s\n"


def written(folder: Path, num_clips: int = 30, length_s: float | None = 20) -> dict[str, Any]:
    """Returns a config of clips in a table, of five classes and of one length."""
    end = "," if length_s is None else f"5,{5 + length_s}"
    rows = [f"c{n},s{n},class {n % 5},https://127.0.0.1/{n}.mp4,{end}\n" for n in range(num_clips)]
    (folder / "clips.csv").write_text(HEADER + "".join(rows))
    avca = {"epochs": 10, "batches_per_epoch": 67, "search": {"learning_rate": [0.1, 0.2, 0.3]}}
    return {
        "datasets": {"mine": {"plugin": "table", "path": str(folder / "clips.csv")}},
        "backbones": {"c3d": {}, "vggish": {}},
        "feature_sets": {"both": {"video": "c3d", "audio": "vggish"}},
        "text_embeddings": {"hashed": {}},
        "splits": {"built": {}},
        "models": {"avca": avca},
        "experiment": {
            "datasets": ["mine"],
            "feature_sets": ["both"],
            "text_embeddings": ["hashed"],
            "splits": ["built"],
            "models": ["avca"],
            "seeds": [0, 1],
        },
    }


def lines(config: dict[str, Any], device: Device = ONE_CORE) -> dict[str, str]:
    found = plan.lines(parse(config), device)
    return dict(line.split(": ", 1) for line in found)


def test_clips_runs_and_trainings_are_counted(tmp_path: Path) -> None:
    found = lines(written(tmp_path))
    assert found["clips"] == "mine: 30 clips of 5 classes"
    # Two seeds, each with three candidates of stage 1 and one training of stage 2.
    assert found["runs"] == "2, with 8 trainings (6 of stage 1, 2 of stage 2)"


def test_a_config_of_features_alone_has_no_runs(tmp_path: Path) -> None:
    config = written(tmp_path)
    only = {section: config[section] for section in ("datasets", "backbones")}
    assert lines(only)["runs"] == "none, features alone"
    assert "trainings" not in lines(only)["time"]


def test_features_on_a_cpu_take_the_time_of_both_backbones(tmp_path: Path) -> None:
    """60 lengths of ten seconds: 60 / 0.28 + 60 / 5 = 226 s on two cores, twice that on one."""
    config = written(tmp_path)
    assert "features about 8 min, " in lines(config)["time"]
    assert "features about 4 min, " in lines(config, Device((), 2))["time"]
    assert "features about 60 s, " in lines(config, Device((), 8))["time"]


def test_trainings_take_all_candidates_and_all_epochs_of_stage_2(tmp_path: Path) -> None:
    """Of each run 4 x 670 steps at 6.7 steps a second, and four starts of 5 s: 840 s in all."""
    config = written(tmp_path)
    assert lines(config)["time"].split(", ")[1] == "trainings at most 10 min"
    config["models"]["avca"]["epochs"] = 100
    assert lines(config)["time"].split(", ")[1] == "trainings at most 2 h"
    assert lines(config, Device((), 2))["time"].split(", ")[1] == "trainings at most 1 h"


def test_a_gpu_has_its_own_rates(tmp_path: Path) -> None:
    config = written(tmp_path, num_clips=600)
    found = lines(config, Device(("0",), 4))
    assert "features about 60 s, " in found["time"]  # 1,200 / 21.3
    assert "an NVIDIA H100" in found["rates"]
    assert found["rates"].endswith("no rate for vggish")
    assert "features about 30 s, " in lines(config, Device(("0", "1"), 4))["time"]
    config["backbones"]["c3d"]["precision"] = "tf32"
    assert lines(config, Device(("0",), 4))["time"].startswith("trainings")


def test_features_are_counted_twice_on_the_disk(tmp_path: Path) -> None:
    """30 clips of 4,096 + 128 numbers with 4 bytes, in shards and gathered: 1.01 MB."""
    assert lines(written(tmp_path))["disk"] == "1 MB for features"
    config = written(tmp_path)
    config["backbones"]["c3d"]["keep_windows"] = True
    assert lines(config)["disk"] == "30 kB for features; not counted: c3d"


def test_no_library_is_imported_for_the_disk_of_networks_named_in_it(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(
            written(tmp_path)
            | {"backbones": {"c3d": {"plugin": "timm_frames", "model": "resnet18"}, "vggish": {}}}
        )
    )
    code = (
        "import sys; from avca_pipeline import cli; code = cli.main(['check', 'config.yaml']); "
        "print(code, *({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert done.stdout == "0\n"
    assert "plan: disk: 30 kB for features; not counted: c3d\n" in done.stderr


def test_clips_of_unknown_length_count_ten_seconds_and_the_plan_says_so(tmp_path: Path) -> None:
    known, unknown = lines(written(tmp_path)), lines(written(tmp_path, length_s=None))
    assert "features about 4 min, " in unknown["time"]
    assert "unknown length" in unknown["rates"]
    assert "unknown length" not in known["rates"]


def test_large_annotations_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_LISTED_BYTES", 100)
    found = lines(written(tmp_path))
    assert found["clips"] == "mine: not counted, the annotations have 1 kB"
    assert found["disk"] == "features; not counted: c3d, vggish"


def test_the_command_prints_the_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = written(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(config))
    assert cli.main(["check"]) == 0
    out = capsys.readouterr()
    shown = (out.out + out.err).splitlines()
    assert "plan: clips: mine: 30 clips of 5 classes" in shown
    assert shown[-1] == "config.yaml: good"
