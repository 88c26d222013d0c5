"""Many shards: which jobs run when the dataset grows, and that nothing else makes any run."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from avca_pipeline.artifacts.manifest import shard_of
from tests.workflow import standing_in
from tests.workflow.driving import planned, snakemake

NUM_SHARDS, NUM_CLIPS, NUM_NEW = 40, 4_000, 10
AFTER_FEATURES = {
    "gather": 2, "audit": 1, "train_stage1": 6, "select": 3, "train_stage2": 3, "evaluate": 3,
    "report": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder in which all jobs have run once, and the Python to run more with."""
    folder = tmp_path_factory.mktemp("scale")
    python = standing_in.stand_in(folder)
    standing_in.write_clips(folder, 0, NUM_CLIPS)
    (folder / "config.yaml").write_text(yaml.safe_dump(standing_in.config(NUM_SHARDS)))
    assert standing_in.run(folder, python) == {
        "manifest": 1, "embed": 1, "split": 1, "fetch": NUM_SHARDS, "extract": 2 * NUM_SHARDS,
        **AFTER_FEATURES,
    }  # fmt: skip
    return folder, python


def test_new_clips_run_their_shards_again(finished: tuple[Path, Path]) -> None:
    folder, python = finished
    standing_in.write_clips(folder, NUM_CLIPS, NUM_CLIPS + NUM_NEW)
    names = [f"clip{number:06d}" for number in range(NUM_CLIPS, NUM_CLIPS + NUM_NEW)]
    touched = len({shard_of(name, NUM_SHARDS) for name in names})
    assert 1 < touched < NUM_SHARDS
    assert standing_in.run(folder, python) == {
        "manifest": 1, "embed": 1, "split": 1, "fetch": touched, "extract": 2 * touched,
        **AFTER_FEATURES,
    }  # fmt: skip
    assert standing_in.run(folder, python) == {}


def test_command_lines_do_not_grow_with_shards(tmp_path: Path) -> None:
    """The system takes 128 KiB for one; a path of results may be long as well."""
    standing_in.write_clips(tmp_path, 0, 400)
    longest = {}
    for num_shards in (3, 300):
        config = standing_in.config(num_shards)
        done = snakemake(tmp_path, config, "--dry-run", "--printshellcmds")
        assert done.returncode == 0, done.stdout + done.stderr
        commands = re.findall(r"exec avca (\w+) .*", done.stdout)
        assert {"gather", "audit"} <= set(commands)
        for found in re.finditer(r"exec avca (\w+) .*", done.stdout):
            key = num_shards, found[1]
            longest[key] = max(longest.get(key, 0), len(found[0]))
    for (num_shards, stage), length in longest.items():
        assert length < 8_000
        assert length <= longest[3, stage] + 10, (stage, num_shards)


def test_other_machines_run_nothing_again(
    finished: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More cores, GPUs, several jobs on each, memory, another cache, other downloads."""
    folder, _ = finished
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-a)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    download = {"workers": 7, "pause_s": 1}
    other = standing_in.config(NUM_SHARDS, jobs_per_gpu=3, cache="elsewhere", download=download)
    options = ["--cores", "7", "--default-resources", "mem_mb=5000", "tmpdir='/var/tmp'"]
    assert planned(folder, other, *options) == {}
