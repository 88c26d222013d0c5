"""Runs the real workflow in a folder of its own."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.builders import content_of
from tests.conftest import REPOSITORY

# The whole path in seconds: an image network instead of C3D, few small clips, short trainings.
TINY: dict[str, Any] = {
    "datasets": {
        "tiny": {"plugin": "demo", "num_classes": 6, "sources_per_class": 3, "num_shards": 2}
    },
    "backbones": {
        "frames": {"plugin": "timm_frames", "model": "test_resnet.r160_in1k"},
        "vggish": {},
    },
    "feature_sets": {"both": {"video": "frames", "audio": "vggish", "scaling": "standard"}},
    "text_embeddings": {"hashed": {"dim": 16}},
    "splits": {"built": {}},
    "models": {
        "avca": {
            "epochs": 2, "batches_per_epoch": 4, "batch_size": 8, "token_dim": 16,
            "embedding_dim": 8, "encoder_hidden": 16, "projection_hidden": 16, "head_dim": 8,
            "search": {"learning_rate": [0.001, 0.003]},
        }
    },
    "experiment": {
        "datasets": ["tiny"], "feature_sets": ["both"], "text_embeddings": ["hashed"],
        "splits": ["built"], "models": ["avca"], "seeds": [0],
    },
}  # fmt: skip


def tiny(**sections: Any) -> dict[str, Any]:
    """Returns the tiny config with whole sections replaced."""
    return copy.deepcopy(TINY) | sections


def command(folder: Path, *arguments: str) -> list[str]:
    """Returns the command line of Snakemake for the config in ``folder``."""
    return [
        sys.executable, "-m", "snakemake",
        "--snakefile", str(REPOSITORY / "workflow" / "Snakefile"),
        "--directory", str(folder), "--configfile", str(folder / "config.yaml"),
        "--cores", "2", *arguments,
    ]  # fmt: skip


def snakemake(
    folder: Path, config: dict[str, Any] | str | None, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Writes the config, if one is given, and runs Snakemake to its end."""
    folder.mkdir(exist_ok=True)
    if config is not None:
        text = config if isinstance(config, str) else yaml.safe_dump(config)
        (folder / "config.yaml").write_text(text)
    return subprocess.run(
        command(folder, *arguments), capture_output=True, text=True, check=False, timeout=900
    )


def planned(folder: Path, config: dict[str, Any] | str | None, *arguments: str) -> dict[str, int]:
    """Returns how many jobs of each rule a dry run announces."""
    done = snakemake(folder, config, "--dry-run", *arguments)
    assert done.returncode == 0, done.stderr
    table = re.search(r"^job +count\n-+ +-+\n((?:\w+ +\d+\n)+)", done.stdout + done.stderr, re.M)
    if table is None:
        assert "Nothing to be done" in done.stdout + done.stderr
        return {}
    jobs = dict(line.split() for line in table[1].splitlines())
    return {rule: int(count) for rule, count in jobs.items() if rule not in ("total", "all")}


def results(folder: Path) -> dict[str, Any]:
    """Returns what must be the same in every run of the same config, by path."""
    from avca_pipeline.artifacts import features

    found: dict[str, Any] = {}
    root = folder / "results"
    for path in sorted([*root.rglob("features/*.h5"), *root.rglob("features/*/*.h5")]):
        value = features.read(path)
        found[str(path.relative_to(root))] = (
            list(value.clip_ids), value.features.tobytes(), dict(value.rejected),
        )  # fmt: skip
    for path in sorted(root.rglob("scores.json")):
        found[str(path.relative_to(root))] = content_of(path)
    for path in sorted([*root.glob("*/splits/*"), *root.glob("*/manifest.csv")]):
        found[str(path.relative_to(root))] = path.read_bytes()
    return found
