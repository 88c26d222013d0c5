"""How much memory a training and its evaluation take, for as many clips as one likes.

    python -m tests.benchmarks.training_memory --clips 2000000 --folder /where/there/is/room

Features are drawn and written once, both modalities beside each other; each stage runs in a process
of its own, whose peak memory (``ru_maxrss``, with the pages of mapped files) and CPU seconds are
printed. Epochs are short: what is measured is the memory, and reading.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from avca_pipeline.artifacts import labels, split
from avca_pipeline.artifacts.features import FORMAT_VERSION, KIND
from avca_pipeline.artifacts.hdf5 import atomic_write_hdf5
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.split import (
    TEST_SEEN,
    TEST_UNSEEN,
    TRAIN,
    VAL_SEEN,
    VAL_UNSEEN,
    SplitClip,
)

CLASSES = {TRAIN: 200, VAL_UNSEEN: 50, TEST_UNSEEN: 59}
OF_A_SEEN_CLASS = (TRAIN,) * 8 + (VAL_SEEN, TEST_SEEN)
DIMS = {"video": 512, "audio": 128}
EPOCHS, BATCHES = 1, 50


def draw(folder: Path, num_clips: int) -> dict[str, Path]:
    """Writes a split, text embeddings and features, a block at a time."""
    paths = {name: folder / f"{name}.h5" for name in (*DIMS, "labels")}
    paths["split"] = folder / "split.csv"
    groups = [group for group, number in CLASSES.items() for _ in range(number)]
    names = [f"class {number:03d}" for number in range(len(groups))]

    def clip(number: int) -> SplitClip:
        group = groups[number % len(groups)]
        parts = OF_A_SEEN_CLASS if group == TRAIN else (group,)
        partition = parts[number // len(groups) % len(parts)]
        name = f"clip{number:08d}"
        return SplitClip(name, names[number % len(groups)], f"video-{name}", partition)

    split.write(paths["split"], (clip(number) for number in range(num_clips)))
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((len(names), 300)).astype(np.float32)
    labels.write(paths["labels"], Labels(names, vectors, "drawn"))
    for name, dim in DIMS.items():
        with atomic_write_hdf5(paths[name], KIND, FORMAT_VERSION) as file:
            file.attrs.update(backbone="drawn", window_s=np.nan, hop_s=np.nan)
            ids = [f"clip{number:08d}" for number in range(num_clips)]
            file.create_dataset("clip_id", data=ids, dtype=h5py.string_dtype())
            table = file.create_dataset("features", (num_clips, dim), np.float32)
            for first in range(0, num_clips, 20_000):
                rows = min(20_000, num_clips - first)
                table[first : first + rows] = generator.random((rows, dim), dtype=np.float32)
            file["num_windows"] = np.ones(num_clips, np.int64)
            file["is_padded"] = np.zeros(num_clips, bool)
            file.create_group("notes")
            rejected = file.create_group("rejected")
            for key in ("clip_id", "reason"):
                rejected.create_dataset(key, (0,), dtype=h5py.string_dtype())
    return paths


def in_process(what: str, call: Callable[[], None]) -> None:
    """Calls in a child of this process, and prints what it took."""
    child = os.fork()
    if child == 0:
        try:
            call()
        except BaseException as error:
            print(f"{what}: {error}", flush=True)
            os._exit(1)
        os._exit(0)
    _, status, used = os.wait4(child, 0)
    if status:
        sys.exit(1)
    cpu_s = used.ru_utime + used.ru_stime
    print(f"{what:16} {cpu_s:7.1f} CPU s {used.ru_maxrss / 1024:7.0f} MB", flush=True)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2_000_000)
    parser.add_argument("--scaling", default="standard", choices=("none", "standard"))
    parser.add_argument("--folder", help="where there is room for the features")
    parser.add_argument("--in-memory", action="store_true", help="whatever room there is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder, inputs = Path(name), dict[str, Path]()
        in_process("write features", lambda: inputs.update(draw(folder, options.clips)))
        inputs = {modality: folder / f"{modality}.h5" for modality in (*DIMS, "labels")}
        inputs["split"] = folder / "split.csv"
        run_stages(folder, inputs, options.scaling, in_memory=options.in_memory)


def run_stages(folder: Path, inputs: dict[str, Path], scaling: str, *, in_memory: bool) -> None:
    """Runs both stages of training, the selection and the evaluation, each in a process."""
    candidate = {"epochs": EPOCHS, "batches_per_epoch": BATCHES}
    settings: dict[str, Any] = {
        "plugin": "avca", "scaling": scaling, "seed": 0, "candidates": {"default": candidate},
    }  # fmt: skip

    def stage(call: Callable[[Any], None]) -> Callable[[], None]:
        def run() -> None:
            import torch

            from avca_pipeline.evaluation import clip_features

            torch.set_num_threads(1)
            clip_features.SHARE_OF_MEMORY = float("inf") if in_memory else 0  # type: ignore
            call(torch)

        return run

    def train(number: int) -> Callable[[Any], None]:
        def call(torch: Any) -> None:
            from avca_pipeline.requests import TrainRequest
            from avca_pipeline.stages import train

            request = TrainRequest(**settings)
            out = folder / f"stage{number}.pt", folder / f"history{number}.json"
            more: dict[str, Any] = {"resume": folder / "resume.pt", "device": "cpu"}
            if number == 1:
                train.run_stage1(request, inputs, *out, **more)
            else:
                train.run_stage2(request, inputs, folder / "selection.json", *out, **more)

        return call

    def select(torch: Any) -> None:
        from avca_pipeline.requests import SelectRequest
        from avca_pipeline.stages import select

        request = SelectRequest(candidates=("default",))
        select.run(request, [folder / "history1.json"], folder / "selection.json")

    def evaluate(torch: Any) -> None:
        from avca_pipeline.requests import EvaluateRequest
        from avca_pipeline.stages import evaluate

        run = Run("drawn", "built", "both", "drawn", "avca", 0)
        evaluate.run(
            EvaluateRequest(run=run, video="c3d", audio="vggish"), folder / "stage2.pt",
            folder / "selection.json", inputs, folder / "scores.json", folder / "embeddings.h5",
            folder / "predictions.csv", device="cpu",
        )  # fmt: skip

    in_process("train stage 1", stage(train(1)))
    in_process("select", stage(select))
    in_process("train stage 2", stage(train(2)))
    in_process("evaluate", stage(evaluate))


if __name__ == "__main__":
    main()
