"""Kills the classifying of many short clips half-way, twice, and looks at what comes of it.

``python -m tests.workflow.kill_apply --clips 1000`` prints what came of it and how long it took.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import yaml

from avca_pipeline import registry
from avca_pipeline.artifacts import bundle
from avca_pipeline.artifacts.bundle import Bundle, BundledBackbone, BundledText, Description
from avca_pipeline.models import Dims
from avca_pipeline.stages import VERSIONS
from tests.workflow.driving import command
from tests.workflow.kills import wait_until
from tests.workflow.standing_in import ran

BACKBONE = {"plugin": "timm_frames", "model": "test_resnet.r160_in1k"}
DIM = 96
CLASSES = ("a red ball", "rain on a roof", "a dog that barks", "an old piano")
NUM_FILES = 5
JOB = re.compile(
    r"^(?:local)?rule (?:fetch|extract):\n"
    r"(?:    .*\n)*?    output: (.*)\n(?:    .*\n)*?    jobid: (\d+)\n",
    re.MULTILINE,
)
"""What Snakemake says of a job of a shard: its output, and its number."""
BROKEN = 7
"""Each clip whose number this divides is no media file."""


def write_clip(path: Path, seed: int) -> None:
    """Writes four pictures of 16 x 16 with a third of a second of sound."""
    generator = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=12)
        video.width, video.height, video.pix_fmt = 16, 16, "yuv420p"
        audio = container.add_stream("aac", rate=8000)
        for _ in range(4):
            picture = generator.integers(0, 256, (16, 16, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        sound = generator.standard_normal((1, 2667)).astype(np.float32) / 4
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def write_bundle(out: Path) -> None:
    """Writes a network that nobody has trained; the backbone has random weights as well."""
    devise: Any = registry.load("models", "devise")
    settings = devise.Settings(modalities="video")
    torch.manual_seed(0)
    network = devise.build(settings, Dims(DIM, 0, 16))
    generator = np.random.default_rng(0)
    frames: Any = registry.load("backbones", "timm_frames")
    made_by = frames.Settings(model=BACKBONE["model"]).model_dump(mode="json")
    backbone = BundledBackbone(
        "frames", "timm_frames", "", VERSIONS["extract"], made_by, "random:0", DIM
    )
    described = Description(
        name="by nobody", model="devise", model_package="", model_settings={"modalities": "video"},
        bias=0.125, class_names=CLASSES, is_unseen=(False, False, True, True),
        backbones={"video": backbone}, text=BundledText("hashed", "", {"dim": 16}, (), 16),
        max_pixels=10**6, max_duration_s=60.0,
    )  # fmt: skip
    arrays = {
        "class_vectors": generator.standard_normal((len(CLASSES), 16)).astype(np.float32),
        "scaling.video_mean": np.zeros(DIM),
        "scaling.video_factor": np.ones(DIM),
    }
    bundle.write(out, Bundle(described, network.state_dict(), arrays), "")


def prepare(folder: Path, num_clips: int, num_shards: int) -> None:
    """Writes clips without classes, what classifies them, and the config."""
    media = folder / "media"
    media.mkdir(parents=True)
    for number in range(NUM_FILES):
        write_clip(folder / f"{number}.mp4", number)
    for number in range(num_clips):
        path = media / f"{number:04d}.mp4"
        if number % BROKEN:
            shutil.copyfile(folder / f"{number % NUM_FILES}.mp4", path)
        else:
            path.write_text("no film")
    write_bundle(folder / "mine")
    config = {
        "datasets": {
            "inbox": {
                "plugin": "folder", "path": "media", "labelled": False, "num_shards": num_shards
            }
        },
        "backbones": {"frames": BACKBONE},
        "feature_sets": {"pictures": {"video": "frames"}},
        "apply": {"named": {"dataset": "inbox", "run": "mine.zip", "top": 2}},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def finished(folder: Path) -> dict[str, tuple[int, int]]:
    """Returns the files of shards whose jobs have ended, with what tells them from later ones.

    A file that is whole may still lack its record: then it is made again, and rightly.
    """
    said = (folder / "output").read_text(errors="replace")
    ended = set(re.findall(r"^Finished jobid: (\d+) ", said, re.MULTILINE))
    files = [path for path, jobid in JOB.findall(said) if jobid in ended]
    states = ((path, (folder / path).stat()) for path in files)
    return {path: (state.st_ino, state.st_mtime_ns) for path, state in states}


def kill_when(folder: Path, num_finished: int) -> dict[str, tuple[int, int]]:
    """Starts the workflow, and kills all its processes once so many more shards' jobs have ended.

    Returns:
        The files of those jobs.
    """
    with open(folder / "output", "wb") as output:
        running = subprocess.Popen(
            command(folder, "predictions"), stdout=output, stderr=output, start_new_session=True
        )
    wait_until(lambda: len(finished(folder)) >= num_finished or running.poll() is not None)
    assert running.poll() is None, (folder / "output").read_text()
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    return finished(folder)


def is_same(folder: Path, states: Mapping[str, tuple[int, int]]) -> bool:
    """Returns whether these files are those that they were."""
    now = {path: (folder / path).stat() for path in states}
    return all((now[path].st_ino, now[path].st_mtime_ns) == states[path] for path in states)


def run(folder: Path, num_clips: int, num_shards: int) -> dict[str, int]:
    """Prepares, kills twice and finishes; returns how many jobs of each rule ran at the end.

    Raises:
        AssertionError: a clip is lost or stands there twice, or work was done again.
    """
    prepare(folder, num_clips, num_shards)
    kept: dict[str, tuple[int, int]] = {}
    for num_finished in (num_shards // 2, num_shards // 2):
        new = kill_when(folder, num_finished)
        assert not kept.keys() & new.keys(), "done again after a kill"
        kept |= new
        assert not (folder / "results/inbox/predictions").exists()
    done = subprocess.run(
        command(folder, "predictions"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert is_same(folder, kept), "done again after a kill"
    jobs = ran(done.stdout + done.stderr)
    assert jobs.get("fetch", 0) + jobs["extract"] == 2 * num_shards - len(kept)
    assert jobs["apply"] == 1
    with open(folder / "results/inbox/predictions/named.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["clip_id"] for row in rows] == [f"{n:04d}.mp4" for n in range(num_clips)]
    for number, row in enumerate(rows):
        assert bool(row["reason"]) != bool(row["top1"]), row
        assert bool(row["reason"]) == (number % BROKEN == 0), row
    by_file = {}
    for number, row in enumerate(rows):
        if not row["reason"]:
            answer = (row["top1"], row["top1_distance"], row["top2_distance"], row["top1_score"])
            assert by_file.setdefault(number % NUM_FILES, answer) == answer
    assert len(set(by_file.values())) == NUM_FILES
    return jobs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--shards", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avca-apply-") as folder:
        start = time.monotonic()
        jobs = run(Path(folder) / "run", options.clips, options.shards)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        table = Path(folder, "run/results/inbox/predictions/named.csv")
        with open(table, newline="") as file:
            reasons = Counter(row["reason"] for row in csv.DictReader(file))
    print(f"{options.clips} clips in {options.shards} shards, two kills: a row each, none twice")
    print(f"answered: {reasons.pop('')}; without an answer: {dict(reasons)}")
    print(f"jobs after the last kill: {jobs}")
    print(f"{time.monotonic() - start:.0f} s; {used.ru_utime + used.ru_stime:.0f} s of CPU")


if __name__ == "__main__":
    main()
