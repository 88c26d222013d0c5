"""Kills one small run at random moments, again and again, and compares it with an undisturbed one.

``python -m tests.workflow.kills --kills 100`` prints each kill and what came of it. Killed are
Snakemake, a stage, a worker of a stage, or all of them at once, by SIGTERM, SIGINT or SIGKILL,
while each of the stages is at work in turn.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.builders import content_of
from tests.workflow.driving import command, planned, results, tiny
from tests.workflow.processes import in_group, stages_at_work, stages_in

# In the order in which they begin; "train" after "select" is stage 2.
STAGES = (
    "manifest", "split", "embed", "fetch", "extract", "extract", "gather", "audit",
    "train", "train", "select", "train", "evaluate", "report",
)  # fmt: skip
VICTIMS = {"a stage": 4, "Snakemake": 2, "all": 3, "a worker": 2}
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
WAIT_S = 600.0
RESUMED = "training continues after {} epochs"


def config() -> dict[str, Any]:
    """Returns the tiny config with trainings that last long enough to be killed in them."""
    changed = tiny()
    changed["models"]["avca"] |= {"epochs": 30, "search": {"learning_rate": [0.001]}}
    return changed


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the workflow to its end on one core; what is killed has two."""
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config()))
    one_core = command(folder, "--cores", "1")
    done = subprocess.run(one_core, capture_output=True, text=True, check=False, timeout=2 * WAIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def run_from(finished: Path, folder: Path) -> None:
    """Makes what `run` makes from a folder in which the tiny config has run: the data are there."""
    shutil.copytree(finished, folder, symlinks=True)
    for place in ("tiny/runs", "records/tiny/runs"):
        shutil.rmtree(folder / "results" / place)
    run(folder)


def files(folder: Path) -> list[str]:
    """Returns what is in the results but for logs: also temporary files and locks.

    The planner's memory of digests is there from the second start on. Kept configs name the folder.
    """
    root = folder / "results"
    paths = (path.relative_to(root) for path in root.rglob("*"))
    left_out = {"logs", "benchmarks", "digests.json", "configs"}
    return sorted(str(path) for path in paths if not left_out & set(path.parts))


def durations(folder: Path) -> dict[str, float]:
    """Returns how long each stage took in a run, as Snakemake measured it."""
    found: dict[str, float] = {}
    for path in (folder / "results").rglob("benchmarks/**/*.tsv"):
        parts = path.relative_to(folder / "results").with_suffix("").parts
        stage = parts[parts.index("benchmarks") + 1]
        seconds = float(path.read_text().splitlines()[1].split()[0])
        found[stage] = max(seconds, found.get(stage, 0.0))
    return found


def kept_epochs(folder: Path) -> dict[Path, list[dict[str, Any]]]:
    """Returns the epochs that interrupted trainings have saved, by their resume file."""
    from avca_pipeline.artifacts import checkpoint

    paths = sorted((folder / "results").rglob("resume/*.pt"))
    return {path: checkpoint.read(path)["history"] for path in paths}


def history_of(resume: Path) -> Path:
    """Returns the file with all epochs of the training that a resume file belongs to."""
    run_folder = resume.parents[1]
    name = resume.with_suffix("").stem  # without the kind of device
    if name == "stage2":
        return run_folder / "stage2.history.json"
    return run_folder / "stage1" / name.removeprefix("stage1-") / "history.json"


def wait_until(condition: Callable[[], Any]) -> Any:
    """Waits for something to come true, and returns what it was."""
    deadline = time.monotonic() + WAIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.2)
    return value


@dataclass
class Killing:
    """A run that is killed.

    Attributes:
        folder: where it runs.
        undisturbed: where the same config ran in peace.
        random: decides whom to kill, when and how.
        report: told of every kill.
        num_kills: so far.
        num_resumed: trainings that continued.
        running: the run, where it has not ended.
        kept: the epochs that were saved when it began, by resume file.
        has_orphans: whether jobs of the run before may still be at work.
        num_failed: runs that nobody killed and that failed all the same.
    """

    folder: Path
    undisturbed: Path
    random: random.Random
    report: Callable[[str], None]
    num_kills: int = 0
    num_resumed: int = 0
    running: subprocess.Popen[bytes] | None = None
    kept: dict[Path, list[dict[str, Any]]] = field(default_factory=dict)
    has_orphans: bool = False
    num_failed: int = 0

    def cycle(self, places: list[int]) -> None:
        """Kills a run at these places of `STAGES`, and sees that it ends like the other one."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config()))
        for place in places:
            self.kill_at(place)
        self.finish()
        assert results(self.folder) == results(self.undisturbed)
        left = set(files(self.folder)) ^ set(files(self.undisturbed))
        assert not left, sorted(left)
        assert planned(self.folder, None) == {}

    def kill_at(self, place: int) -> None:
        """Kills something at a random moment of a stage, or of the next one if that is over."""
        reached = self.reached(place)
        if reached is None:
            return
        running, stage = reached
        delay_s = self.random.uniform(0, 0.8 * self.stage_s[stage])
        time.sleep(delay_s)
        victims = [name for name in VICTIMS if name != "a worker" or self.workers(running, stage)]
        (victim,) = self.random.choices(victims, [VICTIMS[name] for name in victims])
        number = self.random.choice(SIGNALS)
        if not self.send(victim, number, running, stage):
            return
        self.num_kills += 1
        self.report(f"{self.num_kills}: {stage} {delay_s:.1f} s, {victim}, {number.name}")
        if victim == "a worker":
            return  # The run survives that, and meets the next kill.
        keeps_orphans = victim == "Snakemake" and self.random.random() < 0.5
        running.wait(WAIT_S)
        if not keeps_orphans:
            self.wait_for_all(running)
        self.ended(running)
        self.has_orphans = keeps_orphans

    def reached(self, place: int) -> tuple[subprocess.Popen[bytes], str] | None:
        """Returns the run once it works on a stage or a later one; nothing if it is done."""
        while True:
            running = self.running or self.start()
            stage = self.stage_from(place, running)
            if stage is not None:
                return running, stage
            self.ended(running)
            if running.returncode == 0:
                return None

    def stage_from(self, place: int, running: subprocess.Popen[bytes]) -> str | None:
        """Waits until a run works on one of the stages from a place on, and returns its name."""
        names = dict.fromkeys(STAGES[place:])

        def found() -> Any:
            return stages_at_work(running.pid, names) or running.poll() is not None

        at_work = wait_until(found)
        return at_work[0] if isinstance(at_work, list) else None

    def wait_for_all(self, running: subprocess.Popen[bytes]) -> None:
        """Waits for the end of a run and of everything that it has started."""
        running.wait(2 * WAIT_S)
        wait_until(lambda: not in_group(running.pid))

    @property
    def stage_s(self) -> dict[str, float]:
        """How long each stage takes."""
        return durations(self.undisturbed)

    def send(
        self, victim: str, number: signal.Signals, running: subprocess.Popen[bytes], stage: str
    ) -> bool:
        """Sends a signal; returns whether there was somebody to receive it."""
        pids = stages_in(running.pid, stage)
        if victim == "all":
            os.killpg(running.pid, number)
            return True
        if victim == "Snakemake":
            running.send_signal(number)
            return True
        if victim == "a worker":
            pids = self.workers(running, stage)
        if not pids:
            return False
        try:
            os.kill(self.random.choice(sorted(pids)), number)
        except ProcessLookupError:
            return False
        return True

    def workers(self, running: subprocess.Popen[bytes], stage: str) -> list[int]:
        """Returns the processes that the jobs of a stage have started."""
        jobs = stages_in(running.pid, stage)
        return [each.pid for each in in_group(running.pid) if each.parent in jobs]

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the workflow in a process group of its own."""
        self.kept = {} if self.has_orphans else kept_epochs(self.folder)
        with open(self.folder / "output", "wb") as output:
            self.running = subprocess.Popen(
                command(self.folder), stdout=output, stderr=output, start_new_session=True
            )
        return self.running

    def ended(self, running: subprocess.Popen[bytes]) -> None:
        """Sees that trainings which went on did so after their last saved epoch."""
        self.running = None
        said = (self.folder / "output").read_text(errors="replace")
        for path, epochs in self.kept.items():
            name = str(path.relative_to(self.folder))
            continued = f"{name}: {RESUMED.format(len(epochs))}"
            lines = [line for line in said.splitlines() if f"{name}: " in line]
            assert all(line.endswith(continued) for line in lines), lines
            self.num_resumed += len(lines)
            if history_of(path).exists():
                whole = content_of(history_of(path))["epochs"]
                # An epoch that was computed again has another duration.
                assert whole[: len(epochs)] == epochs, f"{name}: computed again"
                assert lines

    def finish(self) -> None:
        """Runs to the end what was killed."""
        while True:
            running = self.running or self.start()
            self.wait_for_all(running)
            self.ended(running)
            if running.returncode == 0:
                return
            # What was killed last may have ended this one; that is told in one line.
            said = (self.folder / "output").read_text(errors="replace")
            assert self.num_failed < self.num_kills, said
            self.num_failed += 1


def places(num_kills: int, generator: random.Random) -> list[int]:
    """Returns where in `STAGES` a run is killed; at least in one training."""
    every = range(len(STAGES))
    training = generator.choice([place for place in every if STAGES[place] == "train"])
    others = [place for place in every if place != training]
    return sorted([training, *generator.sample(others, min(num_kills - 1, len(others)))])


def kill(
    folder: Path, undisturbed: Path, num_kills: int, seed: int, report: Callable[[str], None]
) -> Killing:
    """Kills a run so often; raises `AssertionError` if that changes anything."""
    generator = random.Random(seed)
    killing = Killing(folder, undisturbed, generator, report)
    while killing.num_kills < num_kills:
        killing.cycle(places(num_kills - killing.num_kills, generator))
        report(f"the same results after {killing.num_kills} kills")
    return killing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--folder", type=Path, help="kept afterwards (default: a temporary one)")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    place = options.folder or Path(tempfile.mkdtemp(prefix="avca-kills-"))
    place.mkdir(exist_ok=True)
    run(place / "undisturbed")
    done = kill(
        place / "killed", place / "undisturbed", options.kills, options.seed,
        lambda line: print(line, flush=True),
    )  # fmt: skip
    print(f"{done.num_kills} kills, {done.num_resumed} trainings continued")
    if options.folder is None:
        shutil.rmtree(place)


if __name__ == "__main__":
    sys.exit(main())
