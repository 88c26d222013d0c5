"""What Snakemake costs for a dataset as large as VGGSound: planning, running, planning again.

``make benchmark`` runs it. Fetching, extraction and training are stood in for by a script of no
duration, so the time of the run is what it costs to run it; listing, splitting and the jobs that
Snakemake plans and starts are real. Seconds are those of the CPU in Snakemake's own process, which
other work on the machine disturbs least; ``--only-plan`` stops after the first plan.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import yaml

from tests.workflow import standing_in

CLIPS_PER_S = 5.0  # of one extraction job
NUM_NEW = 100


def measured(folder: Path, python: Path, *arguments: str) -> tuple[float, float, dict[str, int]]:
    """Returns CPU seconds and peak memory in MB of Snakemake itself, and how many jobs were run."""
    log = folder / "log.txt"
    with open(log, "w") as file:
        running = standing_in.start(folder, python, *arguments, output=file)
        _, status, used = os.wait4(running.pid, 0)
    if status:
        sys.exit(log.read_text())
    cpu_s = used.ru_utime + used.ru_stime
    return cpu_s, used.ru_maxrss / 1024, standing_in.ran(log.read_text())


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--whole-table", action="store_true", help="all methods, five seeds")
    parser.add_argument("--only-plan", action="store_true")
    parser.add_argument("--folder", help="where there is room for the table and its copies")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        python = standing_in.stand_in(folder)
        standing_in.write_clips(folder, 0, options.clips)
        more = standing_in.whole_table() if options.whole_table else {}
        config = standing_in.config(options.shards, **more)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))

        def line(what: str, *arguments: str) -> tuple[float, dict[str, int]]:
            seconds, memory, jobs = measured(folder, python, *arguments)
            print(
                f"{what:32} {seconds:6.1f} s {memory:6.0f} MB {sum(jobs.values()):6d} jobs",
                flush=True,
            )
            return seconds, jobs

        line("plan everything, read the table", "--dry-run")
        if options.only_plan:
            return
        line("list the clips", "results/large/manifest.csv")
        line("plan everything", "--dry-run")
        seconds, jobs = line("run everything")
        work_s = options.clips / CLIPS_PER_S * jobs["extract"] / options.shards
        print(f"of {work_s:.0f} s of extraction at {CLIPS_PER_S:g} clips/s: {seconds / work_s:.2%}")
        line("plan with nothing to do", "--dry-run")
        standing_in.write_clips(folder, options.clips, options.clips + NUM_NEW)
        line(f"plan after {NUM_NEW} new clips", "--dry-run")
        _, jobs = line(f"run after {NUM_NEW} new clips")
        print(", ".join(f"{rule} {count}" for rule, count in sorted(jobs.items())))


if __name__ == "__main__":
    main()
