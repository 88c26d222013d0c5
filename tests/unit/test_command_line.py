"""What the command line says about itself, and how long its lines are."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline import cli
from avca_pipeline.artifacts.run import Run
from avca_pipeline.cli.commands import COMMANDS
from avca_pipeline.cli.options import Command, parser
from avca_pipeline.requests import ReportedDataset, ReportedRun, ReportRequest
from avca_pipeline.settings import descriptions
from avca_pipeline.stages import VERSIONS
from tests.conftest import REPOSITORY

MAX_ARGUMENT_BYTES = 128 * 1024
"""What the system takes for one argument."""


def shown(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        cli.main(list(arguments))
    assert end.value.code == 0
    return capsys.readouterr().out


class Interrupted(io.StringIO):
    """A screen on which somebody presses Ctrl-C as soon as anything is there."""

    def write(self, text: str) -> int:
        raise KeyboardInterrupt


def test_ctrl_c_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is the one by which a shell knows that the user has ended a program."""
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Interrupted())
        assert cli.main(["list", "splits"]) == 130
    assert capsys.readouterr().err == ""


def test_each_stage_has_a_command_and_the_help_lists_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown("--help", capsys=capsys)
    others = {
        "bundle", "check", "compare", "explain", "fetch-features", "fiftyone", "init", "list",
        "lists", "predict", "publish", "run", "schema", "serve",
    }  # fmt: skip
    assert set(VERSIONS) | others == {command.name for command in COMMANDS}
    for command in COMMANDS:
        assert re.search(rf"^    {command.name}\s+\S", text, re.M), command.name


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_option_has_a_help_text(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    # argparse breaks lines after hyphens too.
    shown_text = re.sub(r"-\n +", "-", shown(command.name, "--help", capsys=capsys))
    text = " ".join(shown_text.split())
    subparsers: Any = parser([command])._subparsers
    (part,) = subparsers._group_actions[0].choices.values()
    assert len(part._actions) >= 2
    for action in part._actions:
        assert action.help, action.dest
        assert " ".join(str(action.help).split()) in text
    if command.request is not None:
        for key in command.request.model_fields:
            words = descriptions(command.request)[key]
            assert " ".join(f"{key} {words}".split()) in text


@pytest.mark.parametrize(("option", "is_read"), [("--version", False), ("--help", True)])
def test_texts_of_keys_are_read_from_the_source_when_they_are_shown(
    option: str, *, is_read: bool
) -> None:
    """And at no other time: each job of a workflow starts a command."""
    script = (
        "import atexit, linecache, sys\n"
        "atexit.register(lambda: print(*linecache.cache, sep='\\n'))\n"
        "from avca_pipeline.cli import main\n"
        "main(sys.argv[1:])\n"
    )
    words = ["select", option] if is_read else [option]
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    read = [line for line in done.stdout.splitlines() if line.endswith(".py")]
    assert any(Path(line).name == "requests.py" for line in read) == is_read


def test_what_was_imported_is_not_collected_when_a_command_ends() -> None:
    script = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print('left out:', gc.get_freeze_count()))\n"
        "from avca_pipeline.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", script, "list", "models"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout.split("left out:")[1]) > 10_000


def report_request(num_runs: int) -> ReportRequest:
    runs = [Run("d", "s", "f", "t", "m", seed) for seed in range(num_runs)]
    names = [f"learning_rate=0.{number}" for number in range(10)]
    return ReportRequest(
        runs=[ReportedRun(run=run, candidates=names) for run in runs],
        datasets=[
            ReportedDataset(dataset="d", num_shards=1, features=["video", "audio"], splits=["s"])
        ],
    )


STAND_IN = """\
#!{python}
import sys
from avca_pipeline.cli import main
with open({told!r}, "w") as file:
    print(*map(len, sys.argv), file=file)
sys.exit(main())
"""
CALL = """
import json, runpy, sys
from types import SimpleNamespace
given = json.load(open(sys.argv[2]))
for name in ("output", "params"):
    given[name] = SimpleNamespace(**given[name])
runpy.run_path(sys.argv[1], {"snakemake": SimpleNamespace(**given)})
"""


def test_thousands_of_files_make_no_command_line_longer(tmp_path: Path) -> None:
    """The report's command gets all of them, and stops at the first one, which is not there."""
    num_runs = 400
    request = report_request(num_runs)
    folder = f"results/{'a long name ' * 4}".replace(" ", "-")
    of_runs = [f"{folder}/{reported.run.path}" for reported in request.runs]
    histories = [
        f"{path}/stage1/{candidate}/history.json"
        for path, reported in zip(of_runs, request.runs, strict=True)
        for candidate in reported.candidates
    ]
    assert len(histories) > 3000
    assert sum(map(len, histories)) > MAX_ARGUMENT_BYTES
    told = tmp_path / "told"
    tool = tmp_path / "bin/avca"
    tool.parent.mkdir()
    tool.write_text(STAND_IN.format(python=sys.executable, told=str(told)))
    tool.chmod(0o755)
    given = {
        "input": {
            "scores": [f"{path}/scores.json" for path in of_runs],
            "embeddings": [f"{path}/embeddings.h5" for path in of_runs],
            "predictions": [f"{path}/predictions.csv" for path in of_runs],
            "histories": histories,
            "audits": ["audit.json"], "data_audits": ["data.json"], "manifests": ["m.csv"],
            "first_fetched": ["00000-of-00001.csv"], "features": ["video.h5", "audio.h5"],
            "applied": [],
        },
        "output": {"page": "report.html", "table": "table.csv", "files": "report_files"},
        "params": {
            "settings": request.model_dump_json(), "made": "", "is_recorded": False,
            "arguments": "report.arguments",
            "found": {
                name: ["found.json"] if name == "scores" else []
                for name in (
                    "scores", "embeddings", "predictions", "histories", "audits",
                    "data_audits", "manifests", "first_fetched", "features", "applied",
                )
            },
        },
        "log": ["report.log"],
    }  # fmt: skip
    (tmp_path / "given.json").write_text(json.dumps(given))
    script = REPOSITORY / "workflow/scripts/report.py"
    path = os.pathsep.join([str(tool.parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-c", CALL, str(script), "given.json"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "avca report @report.arguments" in done.stderr
    assert "avca report: error: audit.json: no such file" in done.stderr
    assert sum(map(int, told.read_text().split())) < 1000
    lines = (tmp_path / "report.arguments").read_text().splitlines()
    assert {*histories, "found.json"} < set(lines)


def test_an_arguments_file_that_lacks_some_files_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (
        "scores", "embeddings", "predictions", "histories", "data-audits", "manifests", "features"
    )  # fmt: skip
    lines = ["--settings", report_request(2).model_dump_json(), "--audits"]
    lines += [text for option in options for text in (f"--{option}", "one")]
    lines.append("--applied")
    lines += ["--fetched", "00000-of-00001.csv", "--out", "page", "--table", "table"]
    lines += ["--files", "folder"]
    (tmp_path / "arguments").write_text("\n".join(lines))
    assert cli.main(["report", f"@{tmp_path / 'arguments'}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "--audits: the request names 1 of them, found 0 files" in line
