"""A dataset as large as one likes, whose long stages are stood in for by a script of no duration.

What is left is what Snakemake costs, and the question which jobs it runs. Listing and splitting
clips is real.
"""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts import features, fetched, records
from tests.workflow.driving import command

# The workflow looks for `avca` beside its Python; only this name of it is another one.
PYTHON = "import sys; sys.executable = sys.argv.pop(1); from snakemake.cli import main; main()"
STAND_IN = """\
#!{python} -SE
import hashlib, json, os, shutil, sys

stage, arguments = sys.argv[1], sys.argv[2:]
if arguments[0].startswith("@"):
    arguments = open(arguments[0][1:]).read().splitlines()
options = dict(zip(arguments, arguments[1:]))
if stage in {real!r}:
    os.execv({avca!r}, [{avca!r}, *sys.argv[1:]])
made = json.loads(options["--made"])
open(options["--log"], "w").close()
for name in ("--out", "--table", "--files", "--history", "--embeddings", "--predictions"):
    path = options.get(name)
    if path is None or (name in ("--embeddings", "--predictions") and stage == "report"):
        continue
    if stage in ("extract", "gather") and name == "--out":
        shutil.copyfile({features!r}, path)
    elif name == "--files":
        os.makedirs(path, exist_ok=True)
    elif stage == "fetch":
        shutil.copyfile({fetched!r}, path)
    else:
        open(path, "w").close()
    record = os.path.join(made["results"], "records", os.path.relpath(path, made["results"]))
    os.makedirs(os.path.dirname(record), exist_ok=True)
    digest = {digests!r}.get(stage if name == "--out" else "", hashlib.sha256(b"").hexdigest())
    digest = "" if os.path.isdir(path) else digest
    with open(record + ".json", "w") as file:
        request = json.loads(options["--settings"])
        json.dump(dict(recipe=made["recipe"], digest=digest, request=request), file)
"""
COLUMNS = ("clip_id", "source_id", "class_name", "path_or_url", "start_s", "end_s")


def write_clips(folder: Path, first: int, last: int) -> None:
    """Adds clips to the table of the dataset."""
    table = folder / "clips.csv"
    is_new = not table.exists()
    with open(table, "a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        for number in range(first, last):
            name = f"clip{number:06d}"
            writer.writerow((name, f"video-{name}", f"class {number % 309}", f"{name}.mp4", "", ""))


def config(num_shards: int, **sections: Any) -> dict[str, Any]:
    """Returns a config for the table of clips, with the paper's backbones."""
    names = {"video": "c3d", "audio": "vggish"}
    return {
        "datasets": {"large": {"plugin": "table", "path": "clips.csv", "num_shards": num_shards}},
        "backbones": {"c3d": {}, "vggish": {}},
        "feature_sets": {"both": names},
        "text_embeddings": {"hashed": {}},
        "splits": {"built": {}},
        "models": {"avca": {"search": {"learning_rate": [0.001, 0.002]}}},
        "experiment": {
            "datasets": ["large"], "feature_sets": ["both"], "text_embeddings": ["hashed"],
            "splits": ["built"], "models": ["avca"], "seeds": [0, 1, 2],
        },
    } | sections  # fmt: skip


def stand_in(folder: Path, real: tuple[str, ...] = ("manifest", "split")) -> Path:
    """Writes the script that stands in for ``avca``; returns the name of a Python beside it.

    Args:
        folder: where.
        real: stages that nothing stands in for.
    """
    nothing = folder / "nothing.h5"
    no_numbers = np.zeros(0, np.int64)
    features.write(
        nothing, features.Features([], np.zeros((0, 0), np.float32), no_numbers, no_numbers > 0)
    )
    fetched.write(folder / "nothing.csv", [])
    script = folder / "bin" / "avca"
    script.parent.mkdir()
    text = STAND_IN.format(
        python=sys.executable,
        avca=shutil.which("avca", path=str(Path(sys.executable).parent)),
        real=real,
        features=str(nothing),
        fetched=str(folder / "nothing.csv"),
        digests={
            "extract": records.digest_of(nothing),
            "gather": records.digest_of(nothing),
            "fetch": records.digest_of(folder / "nothing.csv"),
        },
    )
    script.write_text(text)
    script.chmod(0o755)
    python = script.with_name("python")
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python


def whole_table() -> dict[str, Any]:
    """Returns what makes a config of `config` the paper's whole table."""
    models = ("avca", "ale", "sje", "devise", "apn", "fvaegan", "cjme", "avgzslnet")
    backbones = ("c3d", "vggish", "selavi_video", "selavi_audio")
    return {
        "backbones": {name: {} for name in backbones},
        "feature_sets": {
            "c3d-vggish": {"video": "c3d", "audio": "vggish"},
            "selavi": {"video": "selavi_video", "audio": "selavi_audio"},
        },
        "models": {name: {} for name in models},
        "experiment": {
            "datasets": ["large"], "feature_sets": ["c3d-vggish", "selavi"],
            "text_embeddings": ["hashed"], "splits": ["built"], "models": list(models),
            "seeds": [0, 1, 2, 3, 4],
        },
    }  # fmt: skip


def start(folder: Path, python: Path, *arguments: str, output: Any) -> subprocess.Popen[str]:
    """Starts Snakemake in ``folder`` with the stand-in."""
    _, _, _, *rest = command(folder, *arguments)
    return subprocess.Popen(
        [sys.executable, "-c", PYTHON, str(python), *rest],
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(folder: Path, python: Path, *arguments: str) -> dict[str, int]:
    """Runs Snakemake in ``folder`` and returns how many jobs of each rule it ran."""
    running = start(folder, python, *arguments, output=subprocess.PIPE)
    output, _ = running.communicate()
    assert running.returncode == 0, output
    return ran(output)


def ran(output: str) -> dict[str, int]:
    """Returns how many jobs of each rule were run, as Snakemake says."""
    names = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)$", output, re.M)
    return {rule: count for rule, count in Counter(names).items() if rule != "all"}
