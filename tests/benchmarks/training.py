"""How fast a method trains, beside what limits it and beside a plain loop in the published manner.

    python -m tests.benchmarks.training --method avca     # or clipclap, tcaf, zero_shot

Numbers of clips are those of UCF-GZSL, sizes and hyper-parameters the published ones. Everything is
measured in turns, several times, in the same process; figures are medians. On a CPU the time is CPU
time, which other work on the machine disturbs least; on a GPU it is wall time between
synchronisations. tcaf_as_published is TCaF with what is peculiar to its published code, which the
plain loop always has; a step of it takes a second, so give both --steps 2 --turns 3. zero_shot
trains nothing: its scores on validation are measured alone, beside a plain loop over biases and
classes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import torch

from avca_pipeline.artifacts.split import TRAIN, VAL_SEEN, VAL_UNSEEN
from avca_pipeline.evaluation.device_clips import evaluation_set, training_clips
from avca_pipeline.evaluation.labelled_clips import LabelledClips, learn_scaling
from avca_pipeline.evaluation.scoring import validate
from avca_pipeline.models import Dims, avca, clipclap, tcaf, zero_shot
from avca_pipeline.nn.adam import Adam
from avca_pipeline.training.fit import train_epoch
from avca_pipeline.training.step import Step
from avca_pipeline.training.triplets import sampler
from tests.benchmarks.plain_loop import PlainLoop
from tests.benchmarks.plain_loop_over_time import PlainLoopOverTime, with_windows

DIM, TEXT_DIM = 512, 300
AS_AVCA = Dims(video=DIM, audio=DIM, text=TEXT_DIM)
OVER_TIME = Dims(video=4096, audio=128, text=TEXT_DIM)
PECULIAR = {
    "scores_with_time_stamps": False, "video_norm": "time", "counts_padding": True,
    "refreshes_statistics": True,
}  # fmt: skip
"""What is peculiar to the published code of TCaF."""
METHODS: dict[str, tuple[ModuleType, Dims, dict[str, Any], dict[str, Any]]] = {
    "avca": (avca, AS_AVCA, {}, {"dropout_bits": 53}),
    "clipclap": (clipclap, Dims(video=512, audio=1024, text=1536), {}, {}),
    "tcaf": (tcaf, OVER_TIME, {}, PECULIAR | {"dropout_bits": 53}),
    "tcaf_as_published": (tcaf, OVER_TIME, PECULIAR, PECULIAR | {"dropout_bits": 53}),
    "zero_shot": (zero_shot, Dims(video=512, audio=512, text=1024), {}, {}),
}
"""Each method, its sizes, its settings here and those for the published manner."""
PARTITIONS = {TRAIN: (30, 3174), VAL_SEEN: (30, 353), VAL_UNSEEN: (12, 1467)}
"""Classes and clips of stage 1."""
BARE, WITH_PASS = "bare step", "bare step and pass for the batch norms"
OURS, PLAIN = "epoch of this package", "epoch in the published manner"
PLAIN_LOSS = "validation loss in the published manner"
SCORES = "scores on validation, once an epoch"
PLAIN_SCORES = "scores by a loop over biases and classes"


def labelled_clips(dims: Dims = AS_AVCA) -> LabelledClips:
    """Returns drawn features of as many clips and classes as UCF-GZSL has in stage 1."""
    generator = np.random.default_rng(0)
    partition = np.repeat(list(PARTITIONS), [clips for _, clips in PARTITIONS.values()])
    first = {TRAIN: 0, VAL_SEEN: 0, VAL_UNSEEN: PARTITIONS[TRAIN][0]}
    targets = np.array(
        [first[name] + index % PARTITIONS[name][0] for index, name in enumerate(partition)]
    )
    num_clips, num_classes = len(targets), targets.max() + 1
    text = generator.standard_normal((num_classes, dims.text)).astype(np.float32)
    return LabelledClips(
        clip_ids=[str(row) for row in range(num_clips)],
        video=generator.random((num_clips, dims.video), dtype=np.float32),
        audio=generator.random((num_clips, dims.audio), dtype=np.float32),
        class_row=targets,
        partition=partition,
        class_names=[str(label) for label in range(num_classes)],
        class_group=np.array([TRAIN if c < first[VAL_UNSEEN] else VAL_UNSEEN
                              for c in range(num_classes)]),
        text=text / np.linalg.norm(text, axis=1, keepdims=True),
        num_missing={},
    )  # fmt: skip


class Contest:
    """The ways of training, each with a network and an optimiser of its own."""

    def __init__(self, method: str, device: str, steps: int, folder: Path) -> None:
        self.module, dims, settings, as_published = METHODS[method]
        self.device, self.steps = device, steps
        self.settings = self.module.Settings(**settings)
        data = labelled_clips(dims)
        if self.settings.over_time:
            data = with_windows(data, folder)
        scaling = learn_scaling("none", data, 1)
        self.clips = training_clips(data, scaling, 1, device)
        self.val = evaluation_set(data, scaling, self.clips)
        self.draw = sampler(self.clips.class_row).draw
        self.triplets = torch.Generator().manual_seed(0)
        self.network = self.module.build(self.settings, dims).to(device)
        self.optimiser = Adam(
            self.module.trainable(self.settings, self.network),
            self.settings.learning_rate,
            self.settings.weight_decay,
        )
        self.step = Step(self.module, self.settings, self.network, self.optimiser, self.clips)
        if self.optimiser.parameters:
            loop = PlainLoopOverTime if self.settings.over_time else PlainLoop
            plain = self.module.Settings(**as_published)
            self.plain = loop(self.module, plain, dims, data, self.clips.class_text, steps)
        self.in_place = self.clips.batch(*(rows[0] for rows in self._drawn(1)))

    def bare(self, *, refreshes: bool = False) -> None:
        """Forward, backward and optimiser step, always on the same data."""
        self.network.train()
        for _ in range(self.steps):
            for terms in self.module.steps(self.settings, self.network, self.in_place):
                self.optimiser.zero_grad()
                terms["total"].backward()
                self.optimiser.step()
                if not refreshes:
                    break

    def refreshing(self) -> None:
        """The same, and the pass for the batch norms after it, which belongs to the method."""
        self.bare(refreshes=True)

    def ours(self) -> None:
        """An epoch as `fit` runs it."""
        train_epoch(self.step, *self._drawn(self.steps))

    def our_validation(self) -> None:
        """Validation as `fit` runs it."""
        validate(self.module, self.settings, self.network, self.val)

    def plain_scores(self) -> None:
        """Scores on validation by a loop over biases and classes, as published code has it."""
        embedded = [
            self.module.embed_clips(self.settings, self.network, self.val.video, self.val.audio),
            self.module.embed_classes(self.settings, self.network, self.val.knowledge.text),
        ]
        distance = self.module.distances(self.settings, self.network, *map(np.asarray, embedded))
        for bias in distance.biases:
            predicted = (distance.gzsl + bias * ~self.val.is_unseen).argmin(axis=1)
            for label in np.unique(self.val.column):
                own = self.val.column == label
                (predicted[own] == label).mean()

    def _drawn(self, num_batches: int) -> list[torch.Tensor]:
        """Returns rows of clips, and of clips of other classes, where they are read from."""
        place = "cpu" if self.settings.over_time else self.device
        drawn = self.draw(num_batches, self.settings.batch_size, self.triplets)
        return [rows.to(place) for rows in drawn]

    def seconds(self, run: Callable[[], None]) -> float:
        """Returns how long it takes."""
        clock = time.perf_counter if self.device == "cuda" else time.process_time
        self._wait()
        started = clock()
        run()
        self._wait()
        return clock() - started

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", choices=METHODS, default="avca")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10, help="in a turn")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:  # The files in it stay open, and are gone at the end.
        contest = Contest(options.method, options.device, options.steps, Path(folder))
    ways = {SCORES: contest.our_validation, PLAIN_SCORES: contest.plain_scores}
    if contest.optimiser.parameters:
        ways = _trainings(contest)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.turns + 1):
        for name, run in ways.items():
            seconds = contest.seconds(run)
            if turn:  # the first one warms up
                taken[name].append(seconds)
    _print(taken, contest, options)


def _trainings(contest: Contest) -> dict[str, Callable[[], None]]:
    with_pass = {WITH_PASS: contest.refreshing} if contest.settings.refreshes_statistics else {}
    return {
        BARE: contest.bare,
        **with_pass,
        OURS: contest.ours,
        PLAIN: contest.plain.epoch,
        SCORES: contest.our_validation,
        PLAIN_LOSS: contest.plain.validation_loss,
    }


def _print(taken: dict[str, list[float]], contest: Contest, options: argparse.Namespace) -> None:
    kind = "wall" if options.device == "cuda" else "CPU"
    threads = "" if options.device == "cuda" else f", {options.threads} thread(s)"
    name, settings = options.method, contest.settings
    print(f"{name}, {options.device}{threads}; {kind} time, median of turns")
    validation = statistics.median(taken.pop(SCORES))
    if PLAIN_SCORES in taken:
        other = statistics.median(taken.pop(PLAIN_SCORES))
        print(f"  {SCORES:40} {1000 * validation:8.2f} ms")
        print(f"  {PLAIN_SCORES:40} {1000 * other:8.2f} ms")
        print(f"  this package's share of that                  {100 * validation / other:6.1f} %")
        return
    print(f"batch {settings.batch_size}, a step of")
    step = {name: statistics.median(times) / options.steps for name, times in taken.items()}
    for name, seconds in step.items():
        print(f"  {name:40} {1000 * seconds:8.2f} ms {1 / seconds:10.1f} steps/s")
    num_steps = settings.batches_per_epoch
    epoch = num_steps * step[OURS] + validation
    other = num_steps * (step[PLAIN] + step[PLAIN_LOSS]) + validation
    print(f"  {SCORES:40} {1000 * validation:8.2f} ms")
    print(f"rate of our epoch, of the bare step's           {100 * step[BARE] / step[OURS]:6.1f} %")
    if WITH_PASS in step:
        rate = 100 * step[WITH_PASS] / step[OURS]
        print(f"  of the bare step's with the batch norms' pass {rate:6.1f} %")
    print(
        f"a step of ours, of one in the published manner  {100 * step[OURS] / step[PLAIN]:6.1f} %"
    )
    print(f"{num_steps} steps and validation, this package         {epoch:6.1f} {kind} s")
    print(f"  in the published manner                       {other:6.1f} {kind} s")
    print(f"  this package's share of that                  {100 * epoch / other:6.1f} %")


if __name__ == "__main__":
    main()
