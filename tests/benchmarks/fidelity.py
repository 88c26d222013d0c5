"""Whole trainings of AVCA here and in the published manner, as distributions over seeds.

    python -m tests.benchmarks.fidelity train --arms ours plain --seeds 0 74 --out fidelity.csv
    python -m tests.benchmarks.fidelity table --out fidelity.csv

One step is tested against golden data. This asks whether hundreds of steps end in the same place.
Every arm trains stage 1 of UCF-GZSL, main lists, on the made-up features of the published
trajectories, with the published hyper-parameters and 100 batches an epoch. The same seed gives the
same initial network in every arm, so the table compares pairs of runs. An arm differs from ``ours``
in one thing:

- ``ours``: as `avca_pipeline.training.fit` trains.
- ``dropout_53``: dropout by torch, which draws 53 bits for each entry. On a GPU that is what
  ``ours`` does.
- ``dropout_16``: dropout by 16 bits for each entry. On a CPU that is what ``ours`` does.
- ``apart``: the triplets' generator has another seed than torch's global one.
- ``multinomial``: triplets drawn clip by clip, as the published loader draws them.
- ``no_refresh``: without the pass for the batch norms after each step.
- ``plain``: a plain loop in the published manner: torch's dropout and Adam, a loader that draws one
  clip at a time, one global random state.

``--method devise`` does the same with DeViSE, and ``--method softmax`` with the classifier of
f-VAEGAN-D2 alone, in its last epoch, on real features of which half stand for made-up ones.

``published`` rows are read from the trajectories of the authors' own code. Rows are appended to the
output as they come; a run that is in it already is not done again. A CPU and a GPU draw different
random numbers, so each needs an output of its own.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch.utils.data import DataLoader, TensorDataset

from avca_pipeline.artifacts.split import TRAIN, TRAINING_PARTITIONS, VAL_SEEN, VAL_UNSEEN
from avca_pipeline.evaluation import calibration
from avca_pipeline.evaluation.device_clips import evaluation_set, training_clips
from avca_pipeline.evaluation.labelled_clips import LabelledClips, learn_scaling
from avca_pipeline.evaluation.scoring import validate
from avca_pipeline.models import Batch, Dims, avca, devise, fvaegan
from avca_pipeline.nn.adam import Adam
from avca_pipeline.nn.dropout import Dropout
from avca_pipeline.nn.softmax import fit_softmax
from avca_pipeline.published import lists
from avca_pipeline.text_embeddings import precomputed
from avca_pipeline.training.fit import fit, train_epoch
from avca_pipeline.training.step import Step
from avca_pipeline.training.triplets import sampler
from tests.benchmarks.plain_loop import loader
from tests.conftest import shared_folder

EPOCHS, BATCHES, DIM, NOISE = 4, 100, 512, 2.0
COLUMNS = ("method", "arm", "seed", "epoch", "val_hm", "val_zsl", "train_loss")
COMMON = {"epochs": EPOCHS, "batches_per_epoch": BATCHES}
METHODS: dict[str, ModuleType] = {"avca": avca, "devise": devise}
SOFTMAX = "softmax"
MIN_PAIRS = 3
OTHER_SEED = 10**6
"""What is added to the seed of the triplets where it must differ from the global one."""

Epoch = tuple[float, float, float]
"""Validation HM, validation ZSL, mean training loss."""


def labelled_clips() -> LabelledClips:
    """Returns the clips of stage 1 with the features of the published trajectories.

    A feature is ``relu(relu(M w) + noise)``, where ``w`` is the true vector of the class and ``M``
    a random matrix for each modality. The text embeddings are paired with classes as published.
    """
    root = shared_folder("official")
    listed = lists.read(root, "UCF", "main").partitions
    classes = sorted(lists.class_names(root, "UCF").values())
    vectors = precomputed.Settings(
        path=root / "w2v_features" / "word_embeddings_ucf_normed.npy",
        names=lists.class_split(root, "UCF") / "ucf_w2v_class_names.csv",
    )
    true = precomputed.vectors(vectors, classes)
    clips = sorted(
        (clip.clip_id, clip.class_name, name)
        for name, members in listed.items()
        for clip in members
    )
    features = {}
    for number, modality in enumerate(("audio", "video")):
        generator = np.random.default_rng([0, number])
        means = np.maximum(true @ generator.standard_normal((DIM, true.shape[1])).T, 0)
        own = means[[classes.index(name) for _, name, _ in clips]]
        noisy = own + NOISE * generator.standard_normal(own.shape)
        features[modality] = np.maximum(noisy, 0).astype(np.float32)
    kept = [row for row, clip in enumerate(clips) if clip[2] in TRAINING_PARTITIONS[2]]
    group = {clips[row][1]: clips[row][2].replace(VAL_SEEN, TRAIN) for row in kept}
    names = sorted(group)
    return LabelledClips(
        clip_ids=[clips[row][0] for row in kept],
        video=features["video"][kept],
        audio=features["audio"][kept],
        class_row=np.array([names.index(clips[row][1]) for row in kept]),
        partition=np.array([clips[row][2] for row in kept]),
        class_names=names,
        class_group=np.array([group[name] for name in names]),
        text=precomputed.vectors(vectors.model_copy(update={"pairing": "official"}), names),
        num_missing={},
    )


@dataclass(frozen=True)
class Arm:
    """One way of training; the defaults are those of `avca_pipeline.training.fit`.

    Attributes:
        changes: of the method's settings.
        seed_shift: what is added to the seed of the triplets.
        has_bulk_dropout: on every device, not on the CPU alone.
        draw: returns an epoch's positives and negatives, given the clips, the batch size and a
            generator; ``None`` is the sampler of this package.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    seed_shift: int = 0
    has_bulk_dropout: bool = False
    draw: (
        Callable[[LabelledClips, int, torch.Generator], tuple[torch.Tensor, torch.Tensor]] | None
    ) = None


def multinomial(
    data: LabelledClips, batch: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws an epoch clip by clip: by weights of the clips, then a class among the others."""
    targets = data.only(TRAIN).class_row
    weights = torch.from_numpy(1 / np.bincount(targets)[targets])
    drawn = torch.multinomial(weights, BATCHES * batch, replacement=True, generator=generator)
    positives = drawn.numpy()
    random = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    members = {label: np.flatnonzero(targets == label) for label in np.unique(targets)}
    others = {label: [other for other in members if other != label] for label in members}
    negatives = np.array(
        [random.choice(members[random.choice(others[label])]) for label in targets[positives]]
    )
    return tuple(
        torch.from_numpy(drawn.reshape(BATCHES, batch)) for drawn in (positives, negatives)
    )


ARMS = {
    "dropout_53": Arm({"dropout_bits": 53}),
    "dropout_16": Arm(has_bulk_dropout=True),
    "apart": Arm(seed_shift=OTHER_SEED),
    "multinomial": Arm(draw=multinomial),
    "no_refresh": Arm({"refreshes_statistics": False}),
}


def zero_in_bulk(network: torch.nn.Module) -> None:
    """Has every dropout of a network draw its numbers as it does on a CPU."""
    for module in network.modules():
        if isinstance(module, Dropout):
            module.forward = partial(_in_bulk, module)


def _in_bulk(dropout: Dropout, inputs: torch.Tensor) -> torch.Tensor:
    return dropout.zeroed_in_bulk(inputs) if dropout.training else inputs


def train_here(
    data: LabelledClips, method: ModuleType, arm: Arm, seed: int, device: str
) -> list[Epoch]:
    """Trains from the parts of this package, with what the arm changes."""
    settings = method.Settings(**COMMON, **arm.changes)
    torch.manual_seed(seed)
    triplets = torch.Generator().manual_seed(seed + arm.seed_shift)
    scaling = learn_scaling("none", data, 1)
    clips = training_clips(data, scaling, 1, device)
    val = evaluation_set(data, scaling, clips)
    network = method.build(settings, Dims(DIM, DIM, data.text.shape[1])).to(device)
    if arm.has_bulk_dropout:
        zero_in_bulk(network)
    optimiser = Adam(
        method.trainable(settings, network), settings.learning_rate, settings.weight_decay
    )
    step = Step(method, settings, network, optimiser, clips)
    balanced = sampler(clips.class_row)
    epochs = []
    for _ in range(EPOCHS):
        if arm.draw is None:
            drawn = balanced.draw(BATCHES, settings.batch_size, triplets)
        else:
            drawn = arm.draw(data, settings.batch_size, triplets)
        losses = train_epoch(step, *drawn)
        scores = validate(method, settings, network, val)
        epochs.append((scores.hm, scores.zsl, losses["total"]))
    return epochs


def train_as_shipped(
    data: LabelledClips, method: ModuleType, seed: int, device: str
) -> list[Epoch]:
    """Trains by `fit` itself."""
    fitted = fit(
        method, method.Settings(**COMMON), data, learn_scaling("none", data, 1),
        stage=1, epochs=EPOCHS, seed=seed, device=device,
    )  # fmt: skip
    return [(row["val"]["hm"], row["val"]["zsl"], row["losses"]["total"]) for row in fitted.history]


def train_plainly(data: LabelledClips, method: ModuleType, seed: int, device: str) -> list[Epoch]:
    """Trains in the published manner: one clip at a time, torch's own parts, one random state."""
    plain = {"dropout_bits": 53} if method is avca else {}
    settings = method.Settings(**COMMON, **plain)
    torch.manual_seed(seed)
    np.random.seed(seed)
    scaling = learn_scaling("none", data, 1)
    clips = training_clips(data, scaling, 1, device)
    val = evaluation_set(data, scaling, clips)
    network = method.build(settings, Dims(DIM, DIM, data.text.shape[1])).to(device)
    optimiser = torch.optim.Adam(
        method.trainable(settings, network), lr=settings.learning_rate,
        weight_decay=settings.weight_decay, foreach=False,
    )  # fmt: skip
    train = data.only(TRAIN)
    rows_of_all = np.arange(len(train.clip_ids))
    epochs = []
    for _ in range(EPOCHS):
        network.train()
        total = 0.0
        for *tensors, rows in loader(train, rows_of_all, BATCHES, settings.batch_size):
            inputs = (tensor.to(device) for tensor in tensors)
            batch = Batch(*inputs, clips.class_text, clips.text_row[rows.to(device)])
            for terms in method.steps(settings, network, batch):
                optimiser.zero_grad()
                terms["total"].backward()
                optimiser.step()
                total += terms["total"].item()
        scores = validate(method, settings, network, val)
        epochs.append((scores.hm, scores.zsl, total / BATCHES))
    return epochs


def train_classifier(data: LabelledClips, is_plain: bool, seed: int) -> list[Epoch]:
    """Trains the classifier of f-VAEGAN-D2, from the same draws here and plainly.

    Every second clip of the unseen classes stands for a made-up one; the others are classified,
    with the validation clips of the seen classes.
    """
    settings = fvaegan.Settings()
    torch.manual_seed(seed)
    clips = fvaegan.unit_length(torch.from_numpy(data.video), torch.from_numpy(data.audio))
    label = torch.from_numpy(data.class_row)
    unseen, seen = data.rows(VAL_UNSEEN), data.rows(VAL_SEEN)
    rows = np.concatenate([data.rows(TRAIN), unseen[::2]])
    start = torch.randn(len(data.class_names), clips.shape[1])
    order = torch.randperm(len(rows))
    if is_plain:
        trained = _plain_classifier(settings, clips[rows], label[rows], start, order)
    else:
        *_, trained = fit_softmax(
            clips[rows], label[rows], start, order,
            epochs=settings.classifier_epochs, batch_size=settings.classifier_batch,
            learning_rate=settings.classifier_learning_rate, beta1=settings.beta1,
        )  # fmt: skip
    tested = np.concatenate([seen, unseen[1::2]])
    with torch.no_grad():
        distances = -trained(clips[tested]).double().log_softmax(dim=1).numpy()
        loss = torch.nn.functional.cross_entropy(trained(clips[rows]), label[rows]).item()
    is_unseen = data.class_group == VAL_UNSEEN
    scores = calibration.search_bias(distances, data.class_row[tested], is_unseen)
    return [(scores.hm, scores.zsl, loss)]


def _plain_classifier(
    settings: fvaegan.Settings,
    clips: torch.Tensor,
    label: torch.Tensor,
    start: torch.Tensor,
    order: torch.Tensor,
) -> torch.nn.Linear:
    """Returns the classifier as plain torch trains it, with one order for all epochs."""
    classifier = torch.nn.Linear(clips.shape[1], len(start))
    torch.nn.init.zeros_(classifier.bias)
    classifier.weight.data.copy_(0.02 * start)
    optimiser = torch.optim.Adam(
        classifier.parameters(), lr=settings.classifier_learning_rate, betas=(settings.beta1, 0.999)
    )
    data = TensorDataset(clips[order], label[order])
    for _ in range(settings.classifier_epochs):
        for inputs, targets in DataLoader(data, batch_size=settings.classifier_batch):
            optimiser.zero_grad()
            outputs = classifier(torch.nn.functional.normalize(inputs, dim=1))
            torch.nn.functional.cross_entropy(outputs, targets).backward()
            optimiser.step()
    return classifier


def runs(data: LabelledClips, method: str, arm: str, seed: int, device: str) -> list[Epoch]:
    """Returns the epochs of one training."""
    if method == SOFTMAX:
        return train_classifier(data, arm == "plain", seed)
    module = METHODS[method]
    if arm == "ours":
        return train_as_shipped(data, module, seed, device)
    if arm == "plain":
        return train_plainly(data, module, seed, device)
    return train_here(data, module, ARMS[arm], seed, device)


def read(path: Path) -> dict[tuple[str, str, int], dict[int, float]]:
    """Returns the validation HM in percent of each epoch, by method, arm and seed."""
    hm: dict[tuple[str, str, int], dict[int, float]] = defaultdict(dict)
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                key = row["method"], row["arm"], int(row["seed"])
                hm[key][int(row["epoch"])] = 100 * float(row["val_hm"])
    return hm


def train(options: argparse.Namespace) -> None:
    """Trains what is not in the output yet, and appends it."""
    data, done = labelled_clips(), read(options.out)
    for seed in range(*options.seeds):
        for arm in options.arms:
            if (options.method, arm, seed) in done:
                continue
            epochs = runs(data, options.method, arm, seed, options.device)
            is_new = not options.out.exists()
            with open(options.out, "a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerows([COLUMNS] if is_new else [])
                writer.writerows(
                    (options.method, arm, seed, epoch, *numbers)
                    for epoch, numbers in enumerate(epochs)
                )


def published() -> dict[tuple[str, str, int], dict[int, float]]:
    """Returns the same as `read`, of the authors' own code."""
    hm: dict[tuple[str, str, int], dict[int, float]] = defaultdict(dict)
    with open(shared_folder("reference", "training_trajectories.csv"), encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["stage"] == "1" and int(row["epoch"]) < EPOCHS:
                hm["avca", "published", int(row["seed"])][int(row["epoch"])] = 100 * float(
                    row["val_hm"]
                )
    return hm


def table(options: argparse.Namespace) -> None:
    """Prints paired differences in validation HM, with 95 % intervals, in points."""
    hm = read(options.out) | published()
    for method in (*METHODS, SOFTMAX):
        arms = sorted({arm for name, arm, _ in hm if name == method})
        for reference in ("ours", "plain", "published"):
            for arm in arms:
                if arm != reference and reference in arms:
                    line = _line(hm, method, arm, reference)
                    if line:
                        print(line)


def _line(
    hm: dict[tuple[str, str, int], dict[int, float]], method: str, arm: str, reference: str
) -> str:
    cells = []
    for epochs in (*((epoch,) for epoch in range(EPOCHS)), tuple(range(EPOCHS))):
        pairs = [
            np.mean([own[epoch] - other[epoch] for epoch in epochs])
            for (name, one, seed), own in hm.items()
            for other in [hm.get((method, reference, seed), {})]
            if (name, one) == (method, arm) and all(e in own and e in other for e in epochs)
        ]
        if len(pairs) < MIN_PAIRS:
            continue
        half = stats.t.ppf(0.975, len(pairs) - 1) * np.std(pairs, ddof=1) / math.sqrt(len(pairs))
        what = f"epoch {epochs[0]}" if len(epochs) == 1 else "mean"
        cells.append(f"{what} {np.mean(pairs):+.2f} ± {half:.2f} ({len(pairs)})")
    return f"{method}: {arm} - {reference}: " + "; ".join(cells) if cells else ""


def main() -> None:
    """Trains, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=("train", "table"))
    parser.add_argument("--out", type=Path, required=True, help="CSV of all trainings")
    parser.add_argument("--method", choices=(*METHODS, SOFTMAX), default="avca")
    parser.add_argument("--arms", nargs="+", default=["ours", "plain"])
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=(0, 30), help="from, up to, and by what step"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    (train if options.what == "train" else table)(options)


if __name__ == "__main__":
    main()
