"""What a table of methods and seeds costs outside the training steps, a job each and together.

    python -m tests.benchmarks.table

Trains the eight methods of the benchmark's table with five seeds on the published lists of
UCF-GZSL, through the real workflow, from given features to the report. The features are drawn, of
the dimensions that are asked for. The same is done twice: with a job for each training, and with
``runs_per_job``. CPU seconds are user and system time of all processes, Snakemake's among them. The
methods are the published ones, with fewer and shorter epochs: what is outside the steps is what is
measured. ``--checkout`` runs the workflow of another checkout, to compare with an older commit:
where the digests of the scores are the same, so are all scores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from avca_pipeline.published import lists
from tests.builders import content_of
from tests.conftest import REPOSITORY, shared_folder

METHODS = ("ale", "sje", "devise", "apn", "fvaegan", "cjme", "avgzslnet", "avca")
STEP_CLOCK = Path(__file__).parent / "step_clock"


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a whole table."""

    total_s: float
    steps_s: float

    @property
    def outside_s(self) -> float:
        """What is not in the training steps."""
        return self.total_s - self.steps_s


def write_features(folder: Path, dims: dict[str, int]) -> None:
    """Writes drawn features of all clips of UCF-GZSL, main lists, in the published layout."""
    generator = np.random.default_rng(0)
    partitions = lists.read(shared_folder("official"), "UCF", "main").partitions
    for name, clips in partitions.items():
        for class_name in sorted({clip.class_name for clip in clips}):
            ids = [clip.clip_id for clip in clips if clip.class_name == class_name]
            for modality, dim in dims.items():
                path = folder / modality / lists.STAGES[name] / f"{class_name}.h5"
                path.parent.mkdir(parents=True, exist_ok=True)
                with h5py.File(path, "w") as file:
                    file["data"] = generator.random((len(ids), dim), dtype=np.float32)
                    file["video_urls"] = [clip_id.encode() for clip_id in ids]


def config(features: Path, options: argparse.Namespace, runs_per_job: int) -> dict[str, Any]:
    """Returns the config of the table."""
    root = shared_folder("official")
    published = {"plugin": "official", "path": str(root), "benchmark": "UCF"}
    words = {
        "plugin": "precomputed",
        "path": str(root / "w2v_features" / "word_embeddings_ucf_normed.npy"),
        "names": str(lists.class_split(root, "UCF") / "ucf_w2v_class_names.csv"),
    }
    short = {"epochs": options.epochs, "batches_per_epoch": options.batches}
    together = {} if runs_per_job == 1 else {"runs_per_job": runs_per_job}
    return together | {
        "datasets": {"ucf": published},
        "imported": {
            name: {"modality": name, "path": str(features)} for name in ("video", "audio")
        },
        "feature_sets": {"given": {"video": "video", "audio": "audio"}},
        "text_embeddings": {"word2vec": words},
        "splits": {"main": published},
        "models": {name: dict(short) for name in options.methods},
        "experiment": {
            "datasets": ["ucf"], "feature_sets": ["given"], "text_embeddings": ["word2vec"],
            "splits": ["main"], "models": list(options.methods),
            "seeds": list(range(options.seeds)),
        },
    }  # fmt: skip


def measured(folder: Path, checkout: Path, content: dict[str, Any], cores: int) -> Cost:
    """Runs the workflow in an empty folder and returns what it took."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    clock = folder / "steps.txt"
    clock.touch()
    found = [str(STEP_CLOCK), str(checkout), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {
        **os.environ,
        "AVCA_STEP_CLOCK": str(clock),
        "PYTHONPATH": os.pathsep.join(part for part in found if part),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    # With it, each start of a program would compile torch and the rest again.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(checkout / "workflow" / "Snakefile"),
        "--directory", str(folder), "--configfile", str(folder / "config.yaml"),
        "--cores", str(cores), "all",
    ]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Python finds what lies in the current folder first, which must not be this checkout.
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    total = sum(getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime"))
    return Cost(total, sum(map(float, clock.read_text(encoding="ascii").split())))


def scores(folder: Path) -> dict[str, Any]:
    """Returns the scores of all runs, by path."""
    root = folder / "results"
    found = sorted(root.rglob("scores.json"))
    return {str(path.relative_to(root)): content_of(path)["scores"] for path in found}


def print_stages(folder: Path) -> None:
    """Prints how many commands of each stage there were and their CPU time, as records say."""
    seconds: dict[str, dict[str, float]] = {}
    for path in (folder / "results" / "records").rglob("*.json"):
        made = json.loads(path.read_text(encoding="utf-8")).get("made", {})
        if "cpu_seconds" in made:  # the files of one command say the same
            seconds.setdefault(made["stage"], {})[made["log"]] = made["cpu_seconds"]
    for stage, commands in sorted(seconds.items()):
        print(f"    {stage:<12}{len(commands):>4} commands{sum(commands.values()):>10.1f} CPU s")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batches", type=int, default=10, help="batches in an epoch")
    parser.add_argument("--dims", type=int, nargs=2, default=(512, 128), help="video and audio")
    parser.add_argument(
        "--runs-per-job", type=int, nargs="*", default=(1, 40), help="a table for each"
    )
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--checkout", type=Path, default=REPOSITORY)
    parser.add_argument("--folder", type=Path, help="for everything; kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        write_features(
            folder / "features", dict(zip(("video", "audio"), options.dims, strict=True))
        )
        print(f"{'runs a job':>10}{'total':>12}{'in the steps':>14}{'outside':>12}  CPU s")
        costs, reached = [], []
        for number in options.runs_per_job:
            place = folder / f"runs_per_job_{number}"
            content = config(folder / "features", options, number)
            cost = measured(place, options.checkout.resolve(), content, options.cores)
            print(
                f"{number:>10}{cost.total_s:>12.1f}{cost.steps_s:>14.1f}{cost.outside_s:>12.1f}",
                flush=True,
            )
            print_stages(place)
            costs.append(cost)
            reached.append(scores(place))
        print(f"runs: {len(reached[0])}")
        text = json.dumps(reached[0], sort_keys=True)
        print(f"digest of their scores: {hashlib.sha256(text.encode()).hexdigest()[:16]}")
        for cost, found in zip(costs[1:], reached[1:], strict=True):
            share = cost.outside_s / costs[0].outside_s
            print(f"outside the steps, of the first: {100 * share:.1f} %")
            print(f"the scores are the same: {'yes' if found == reached[0] else 'NO'}")


if __name__ == "__main__":
    main()
