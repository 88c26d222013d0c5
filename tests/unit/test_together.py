"""Commands that share their imports: their order, what they keep, and what failures cost."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline.artifacts import records, training
from avca_pipeline.artifacts.records import Expected
from avca_pipeline.cli import together
from avca_pipeline.cli.together import Member
from avca_pipeline.errors import FormatError
from avca_pipeline.stages import VERSIONS
from tests.builders import content_of, history_of


def selecting(folder: Path, name: str, history: Path) -> tuple[str, ...]:
    """Returns the arguments of a command that selects the one candidate of a history."""
    settings = {"version": VERSIONS["select"], "candidates": ["a"]}
    made = Expected(folder, f"recipe of {name}", {}).to_json()
    return (
        "select", "--settings", json.dumps(settings), "--histories", str(history),
        "--out", str(folder / f"{name}.json"), "--log", str(folder / f"{name}.log"),
        "--made", made,
    )  # fmt: skip


def commands(path: Path, *members: Member) -> Path:
    """Writes commands as the workflow does."""
    rows = [{"arguments": each.arguments, "after": each.after} for each in members]
    path.write_text(json.dumps({"format_version": 1, "commands": rows}))
    return path


def test_a_failure_costs_what_needs_it_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, missing = tmp_path / "history.json", tmp_path / "missing.json"
    training.write_history(good, history_of("a", 1, 0.1, 0.4))
    file = commands(
        tmp_path / "commands.json",
        Member(selecting(tmp_path, "first", missing)),
        Member(selecting(tmp_path, "needs first", good), (0,)),
        Member(selecting(tmp_path, "other", good)),
        Member(selecting(tmp_path, "needs other", good), (2,)),
    )
    monkeypatch.setattr(sys, "argv", ["together", str(file), "--log", str(tmp_path / "log")])
    monkeypatch.delitem(sys.modules, together.__name__)
    with pytest.raises(SystemExit, match="1"):  # as `python -m` runs it, under another name
        runpy.run_module(together.__name__, run_name="__main__")
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == [
        "commands", "history", "needs other", "other",
    ]  # fmt: skip
    assert content_of(tmp_path / "other.json")["epoch"] == 1
    line = f"avca together: error: {tmp_path}/first.log: {missing}: no such file\n"
    assert capfd.readouterr().err.endswith(line)
    assert (tmp_path / "log").read_text().endswith(line)


class Counting(dict[Any, Any]):
    """The commands at work, how many of them there were at most, and in which order they came."""

    def __init__(self) -> None:
        super().__init__()
        self.most, self.order = 0, list[int]()

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.most = max(self.most, len(self))
        self.order.append(value[0])


@pytest.mark.parametrize("num_processes", [1, 2])
def test_as_many_run_at_a_time_as_there_may_be(tmp_path: Path, num_processes: int) -> None:
    history, running = tmp_path / "history.json", Counting()
    training.write_history(history, history_of("a", 1, 0.1, 0.4))
    members = [Member(selecting(tmp_path, name, history)) for name in ("first", "second", "third")]
    together.Together(members, num_processes, running=running).run()
    assert running.most == num_processes
    assert all((tmp_path / f"{name}.json").exists() for name in ("first", "second", "third"))


def test_what_most_others_wait_for_comes_first(tmp_path: Path) -> None:
    history, running = tmp_path / "history.json", Counting()
    training.write_history(history, history_of("a", 1, 0.1, 0.4))
    after: list[tuple[int, ...]] = [(), (0,), (1,), (), (3,), ()]
    members = [
        Member(selecting(tmp_path, str(n), history), needed) for n, needed in enumerate(after)
    ]
    together.Together(members, 1, running=running).run()
    assert running.order == [0, 1, 3, 2, 4, 5]


def test_what_is_finished_is_kept_until_a_run_ends_well(tmp_path: Path) -> None:
    history = tmp_path / "history.json"
    training.write_history(history, history_of("a", 1, 0.1, 0.4))
    command = Member(selecting(tmp_path, "out", history))
    file = commands(tmp_path / "commands.json", command)
    assert together.main([str(file)]) == 0
    out = tmp_path / "out.json"
    number = out.stat().st_ino
    record = records.read(tmp_path, out)
    assert record is not None
    assert (record.recipe, record.digest) == ("recipe of out", records.digest_of(out))
    out.unlink()  # as Snakemake does where a job fails, and before it starts
    records.keep(tmp_path, [], only_copies_too=True)
    assert together.main([str(file)]) == 0
    assert out.stat().st_ino == number
    out.unlink()
    records.put_back(tmp_path, ["out.json", "unknown.json"])  # at the end of a run that fails
    assert out.stat().st_ino == number
    assert not records.kept(tmp_path, out).exists()
    records.keep(tmp_path, ["out.json"])
    records.keep(tmp_path, [], only_copies_too=True)
    assert not records.kept(tmp_path, out).exists()


def test_what_is_kept_is_put_back_only_if_it_is_what_was_made(tmp_path: Path) -> None:
    for name in ("good", "damaged", "there"):
        path = tmp_path / name
        path.write_text(name)
        Expected(tmp_path, "recipe", {}).write([path], {})
    records.keep(tmp_path, ["good", "damaged", "there"])
    (tmp_path / "good").unlink()
    (tmp_path / "damaged").write_text("half")  # by both names
    (tmp_path / "damaged").unlink()
    (tmp_path / "there").unlink()
    (tmp_path / "there").write_text("new")
    records.put_back(tmp_path, ["good", "damaged", "there"])
    found = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert found == {"good": "good", "there": "new"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format_version": 2, "commands": []}', "format version 2"),
        ('{"format_version": 1, "commands": [{"after": []}]}', "no list of commands"),
        ('{"format_version": 1, "commands": [{"arguments": ["a"], "after": [0]}]}', "before one"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "commands.json"
    path.write_text(content)
    with pytest.raises(FormatError, match=message):
        together.read(path)
