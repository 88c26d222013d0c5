"""How fast a method trains, beside what limits it and beside a plain loop in the published manner.

    python -m tests.benchmarks.training --method avca     # or clipclap, zero_shot

Numbers of clips are those of UCF-GZSL, sizes and hyper-parameters the published ones. Everything is
measured in turns, several times, in the same process; figures are medians. On a CPU the time is CPU
time, which other work on the machine disturbs least; on a GPU it is wall time between
synchronisations. zero_shot trains nothing: its scores on validation are measured alone, beside a
plain loop over biases and classes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from avca_pipeline.artifacts.split import TRAIN, VAL_SEEN, VAL_UNSEEN
from avca_pipeline.evaluation.device_clips import evaluation_set, training_clips
from avca_pipeline.evaluation.labelled_clips import LabelledClips, learn_scaling
from avca_pipeline.evaluation.scoring import validate
from avca_pipeline.models import Batch, Dims, avca, clipclap, zero_shot
from avca_pipeline.nn.adam import Adam
from avca_pipeline.training.fit import train_epoch
from avca_pipeline.training.triplets import sampler

DIM, TEXT_DIM = 512, 300
AS_AVCA = Dims(video=DIM, audio=DIM, text=TEXT_DIM)
METHODS: dict[str, tuple[ModuleType, Dims, dict[str, Any]]] = {
    "avca": (avca, AS_AVCA, {"dropout_bits": 53}),
    "clipclap": (clipclap, Dims(video=512, audio=1024, text=1536), {}),
    "zero_shot": (zero_shot, Dims(video=512, audio=512, text=1024), {}),
}
"""Each method, its sizes, and settings for the published manner."""
PARTITIONS = {TRAIN: (30, 3174), VAL_SEEN: (30, 353), VAL_UNSEEN: (12, 1467)}
"""Classes and clips of stage 1."""
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


class Triplets(Dataset):
    """Draws the negative of one clip at a time, as the published loader does.

    An item is the clip's video, audio and text, those of a clip of another class, and the row of
    the clip.
    """

    def __init__(self, data: LabelledClips, rows: np.ndarray) -> None:
        self.data, self.rows = data, rows
        targets = data.class_row[rows]
        self.of_class = {label: rows[targets == label] for label in np.unique(targets)}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        data, positive = self.data, self.rows[index]
        label = data.class_row[positive]
        while np.random.choice(self.of_class[label]) == positive:
            pass
        other = np.random.choice([one for one in self.of_class if one != label])
        negative = np.random.choice(self.of_class[other])
        arrays = (
            torch.from_numpy(array)
            for row in (positive, negative)
            for array in (data.video[row], data.audio[row], data.text[data.class_row[row]])
        )
        return *arrays, torch.tensor(positive)


def loader(data: LabelledClips, rows: np.ndarray, steps: int, batch: int) -> DataLoader:
    """Returns class-balanced batches of `Triplets`."""
    targets = data.class_row[rows]
    weights = 1 / np.bincount(targets)[targets]
    drawn = WeightedRandomSampler(weights.tolist(), steps * batch)
    return DataLoader(Triplets(data, rows), batch_size=batch, sampler=drawn)


class Contest:
    """The ways of training, each with a network and an optimiser of its own."""

    def __init__(self, method: str, device: str, steps: int) -> None:
        self.module, dims, as_published = METHODS[method]
        self.device, self.steps, self.settings = device, steps, self.module.Settings()
        self.data = labelled_clips(dims)
        scaling = learn_scaling("none", self.data, 1)
        self.clips = training_clips(self.data, scaling, 1, device)
        self.val = evaluation_set(self.data, scaling, self.clips)
        self.rows = self.data.rows(TRAIN)
        self.val_rows = self.data.rows(VAL_SEEN, VAL_UNSEEN)
        self.draw = sampler(self.clips.class_row).draw
        self.triplets = torch.Generator().manual_seed(0)
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        self.network = self.module.build(self.settings, dims).to(device)
        self.optimiser = Adam(self.module.trainable(self.settings, self.network), rate, decay)
        self.as_published = self.module.Settings(**as_published)
        self.plain = self.module.build(self.as_published, dims).to(device)
        if parameters := self.module.trainable(self.as_published, self.plain):
            self.plain_optimiser = torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
        first = self.draw(1, self.settings.batch_size, self.triplets)
        self.in_place = self._batch(*(rows[0].to(device) for rows in first))

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
        drawn = self.draw(self.steps, self.settings.batch_size, self.triplets)
        positives, negatives = (rows.to(self.device) for rows in drawn)
        train_epoch(
            self.module, self.settings, self.network, self.optimiser, self.clips, positives,
            negatives,
        )  # fmt: skip

    def our_validation(self) -> None:
        """Validation as `fit` runs it."""
        validate(self.module, self.settings, self.network, self.val)

    def published(self) -> None:
        """An epoch in the published manner; the pass for the batch norms builds a graph."""
        self.plain.train()
        for batch in self._loaded(self.rows):
            self.plain_optimiser.zero_grad()
            total = self.module.losses(self.as_published, self.plain, batch)["total"]
            total.backward()
            self.plain_optimiser.step()
            self.module.embed_clips(self.as_published, self.plain, batch.video, batch.audio)
            self.module.embed_classes(self.as_published, self.plain, batch.text)
            total.item()

    def published_validation(self) -> None:
        """The validation loss that the published code computes besides, and nothing reads."""
        self.plain.eval()
        with torch.no_grad():
            for batch in self._loaded(self.val_rows):
                self.module.losses(self.as_published, self.plain, batch)["total"].item()

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

    def _loaded(self, rows: np.ndarray) -> Iterator[Batch]:
        for *tensors, row in loader(self.data, rows, self.steps, self.settings.batch_size):
            own = (tensor.to(self.device) for tensor in tensors)
            text_row = torch.from_numpy(self.data.class_row[row.numpy()]).to(self.device)
            # Validation has classes that are not trained on; ClipClap's loss wants a row for each.
            yield Batch(*own, self.clips.class_text, text_row % len(self.clips.class_text))

    def _batch(self, positive: torch.Tensor, negative: torch.Tensor) -> Batch:
        clips = self.clips
        return Batch(
            clips.video[positive], clips.audio[positive], clips.text[positive],
            clips.video[negative], clips.audio[negative], clips.text[negative],
            clips.class_text, clips.text_row[positive],
        )  # fmt: skip

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
    contest = Contest(options.method, options.device, options.steps)
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
    return {
        "bare step": contest.bare,
        "bare step and pass for the batch norms": contest.refreshing,
        "epoch of this package": contest.ours,
        "epoch in the published manner": contest.published,
        SCORES: contest.our_validation,
        "validation loss in the published manner": contest.published_validation,
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
    bare, refreshing, ours, published, val_loss = step.values()
    num_steps = settings.batches_per_epoch
    epoch = num_steps * ours + validation
    other = num_steps * (published + val_loss) + validation
    print(f"  {SCORES:40} {1000 * validation:8.2f} ms")
    print(f"rate of our epoch, of the bare step's           {100 * bare / ours:6.1f} %")
    print(f"  of the bare step's with the batch norms' pass {100 * refreshing / ours:6.1f} %")
    print(f"{num_steps} steps and validation, this package         {epoch:6.1f} {kind} s")
    print(f"  in the published manner                       {other:6.1f} {kind} s")
    print(f"  this package's share of that                  {100 * epoch / other:6.1f} %")


if __name__ == "__main__":
    main()
