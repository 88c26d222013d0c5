"""What the stages that see all clips cost as a dataset grows: CPU time, and most memory at once.

``python -m tests.benchmarks.growth --clips 200000 2000000`` lists, splits and audits clips of a
table, and gathers features of 512 numbers. Media are stood in for: tables of fetched clips,
features of 64 and 32 numbers for the audit, and shards of features to gather are drawn.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.artifacts import features, fetched, labels
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.hdf5 import atomic_write_hdf5, write_strings
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.manifest import COLUMNS, shard_names

NUM_CLASSES = 309
CLIPS_PER_SHARD = 1000
DIMS = {"seen": 64, "heard": 32}
GATHERED, GATHERED_DIM = "watched", 512
CHUNK = 50_000
LOST_EVERY = 50
"""One clip in so many cannot be fetched."""


def write_clips(path: Path, number: int) -> None:
    """Writes a table of clips in no order; two in a row are of one recording."""
    step = next(step for step in (7919, 7927, 7933) if number % step)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in range(number):
            clip = row * step % number
            source = clip // 2
            writer.writerow(
                (f"clip{clip:09d}", f"video{source:09d}", f"class {source % NUM_CLASSES}",
                 f"videos/{clip % 1000}/clip{clip:09d}.mp4", "1.5", "11.5")
            )  # fmt: skip


def is_lost(clip_id: str) -> bool:
    """Returns whether a clip cannot be fetched."""
    return int(clip_id[4:]) % LOST_EVERY == 0


def stand_in_for_media(folder: Path, number: int, num_shards: int) -> None:
    """Writes what `fetch`, `gather` and `embed` would have written."""
    for name in shard_names(num_shards):
        rows = [_fetched(clip_id) for clip_id in _ids(folder / "shards" / f"{name}.csv")]
        fetched.write(folder / "fetched" / f"{name}.csv", rows)
    for name, dim in DIMS.items():
        kept = (clip_id for clip_id in _ids(folder / "manifest.csv") if not is_lost(clip_id))
        _write_features(folder / f"{name}.h5", kept, number - -(-number // LOST_EVERY), dim)
    _write_shards(folder, num_shards)
    class_names = sorted(f"class {label}" for label in range(NUM_CLASSES))
    vectors = np.eye(NUM_CLASSES, dtype=np.float32)
    labels.write(folder / "words.h5", Labels(class_names, vectors, "drawn"))


def _ids(path: Path) -> Iterator[str]:
    with open(path, newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for row in rows:
            yield row[0]


def _fetched(clip_id: str) -> FetchedClip:
    if is_lost(clip_id):
        return FetchedClip(clip_id, REJECTED, "download failed: HTTP 404")
    sha256 = hashlib.sha256(clip_id.encode()).hexdigest()
    return FetchedClip(
        clip_id, OK, "", f"/data/videos/{clip_id}.mp4", 10.0, 25.0, 320, 240, True, True, 44100,
        sha256, 1_000_000, 1_700_000_000_000_000_000,
    )  # fmt: skip


def _write_features(path: Path, clip_ids: Iterator[str], number: int, dim: int) -> None:
    import h5py

    drawn = np.random.default_rng(dim)
    with atomic_write_hdf5(path, features.KIND, features.FORMAT_VERSION) as file:
        file.attrs["backbone"] = "drawn"
        file.attrs["window_s"] = file.attrs["hop_s"] = 1.0
        ids = file.create_dataset("clip_id", (number,), h5py.string_dtype())
        table = file.create_dataset("features", (number, dim), np.float32)
        for begin in range(0, number, CHUNK):
            part = list(islice(clip_ids, CHUNK))
            ids[begin : begin + len(part)] = part
            rows = 5 + drawn.standard_normal((len(part), dim), np.float32)
            table[begin : begin + len(part)] = rows
        file["num_windows"] = np.ones(number, np.int64)
        file["is_padded"] = np.zeros(number, bool)
        file.create_group("notes")
        rejected = file.create_group("rejected")
        write_strings(rejected, "clip_id", [])
        write_strings(rejected, "reason", [])


def _write_shards(folder: Path, num_shards: int) -> None:
    drawn = np.random.default_rng(0)
    for name in shard_names(num_shards):
        rows = fetched.read(folder / "fetched" / f"{name}.csv")
        made = [row for row in rows if row.status == OK]
        ones = np.ones(len(made), np.int64)
        features.write(
            folder / GATHERED / f"{name}.h5",
            Features(
                clip_ids=[row.clip_id for row in made],
                features=drawn.random((len(made), GATHERED_DIM), np.float32),
                num_windows=ones,
                is_padded=ones > 1,
                attributes={"backbone": "drawn"},
                media=[row.sha256 for row in made],
                window_s=1.0,
                hop_s=1.0,
            ),
        )


def stage(name: str, settings: dict[str, Any], *arguments: object) -> tuple[float, float, float]:
    """Runs a stage; returns seconds of CPU, seconds, and most memory in MB."""
    command = [
        sys.executable, "-m", "avca_pipeline.cli", name, "--settings", json.dumps(settings),
        *map(str, arguments),
    ]  # fmt: skip
    began = time.monotonic()
    process = os.spawnv(os.P_NOWAIT, sys.executable, command)
    _, status, used = os.wait4(process, 0)
    if status:
        sys.exit(f"{name} failed")
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss / 1024


def measure(folder: Path, number: int) -> None:
    """Prints what each stage costs for so many clips."""
    num_shards = -(-number // CLIPS_PER_SHARD)
    write_clips(folder / "clips.csv", number)
    table = {"plugin": "table", "settings": {"path": str(folder / "clips.csv")}}
    built = {"split": "built", "plugin": "built", "settings": {}}
    manifest, split = folder / "manifest.csv", folder / "built.csv"
    rows = [
        ("manifest", stage(
            "manifest", {**table, "num_shards": num_shards},
            "--out", manifest, "--shards", folder / "shards",
        )),
        ("split", stage(
            "split", {**built, "backbones": {}},
            "--clips", manifest, "--out", split, "--audit", folder / "built.audit.json",
        )),
    ]  # fmt: skip
    stand_in_for_media(folder, number, num_shards)
    audit = {
        **built, "max_missing": 0.1, "num_shards": num_shards, "features": list(DIMS),
        "feature_sets": {"both": list(DIMS)}, "text_embeddings": ["words"],
    }  # fmt: skip
    first = folder / "fetched" / f"{shard_names(num_shards)[0]}.csv"
    rows.append(("audit", stage(
        "audit", audit, "--split", split, "--fetched", first,
        "--features", *(folder / f"{name}.h5" for name in DIMS),
        "--labels", folder / "words.h5", "--out", folder / "audit.json",
    )))  # fmt: skip
    rows.append(("gather", stage(
        "gather", {"features": GATHERED, "num_shards": num_shards},
        "--features", folder / GATHERED / first.with_suffix(".h5").name, "--fetched", first,
        "--out", folder / f"{GATHERED}.h5",
    )))  # fmt: skip
    for name, (cpu_s, wall_s, mb) in rows:
        print(f"{number:10,} {name:10} {cpu_s:7.1f} CPU s {wall_s:7.1f} s {mb:6.0f} MB", flush=True)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=[200_000, 2_000_000])
    parser.add_argument("--folder", type=Path, help="where files are put, and stay")
    options = parser.parse_args()
    for number in options.clips:
        if options.folder:
            options.folder.mkdir(parents=True, exist_ok=True)
            measure(options.folder, number)
        else:
            with tempfile.TemporaryDirectory() as name:
                measure(Path(name), number)


if __name__ == "__main__":
    main()
