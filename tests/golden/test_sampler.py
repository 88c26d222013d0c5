"""What the published data loader draws and pairs, and what ours does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avca_pipeline.artifacts.split import TRAIN
from avca_pipeline.evaluation.device_clips import TrainingClips, training_clips
from avca_pipeline.evaluation.labelled_clips import LabelledClips, learn_scaling
from avca_pipeline.text_embeddings import precomputed
from avca_pipeline.training.triplets import sampler
from tests.conftest import shared_folder

TOYS = ("train_toy", "val_toy", "set_order_small", "missing_class")
FILES = {
    "UCF": ("word_embeddings_ucf_normed.npy", "ucf_w2v_class_names.csv"),
    "ActivityNet": ("word_embeddings_activity_normed.npy", "activitynet_w2v_class_names.csv"),
    "VGGSound": ("word_embeddings_vggsound_normed.npy", "vggsound_w2v_class_names.csv"),
}
NUM_BATCHES, BATCH = 400, 500

Golden = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(shared_folder("reference", "sampler.npz")) as file:
        return dict(file)


def assert_frequencies(drawn: np.ndarray, share: np.ndarray) -> None:
    """Asserts that numbers were drawn with these probabilities: five standard deviations."""
    counts = np.bincount(drawn, minlength=len(share))
    spread = np.sqrt(len(drawn) * share * (1 - share))
    assert (np.abs(counts - len(drawn) * share) <= 5 * spread).all()


@pytest.mark.parametrize("toy", TOYS)
def test_draws_have_the_published_probabilities(golden: Golden, toy: str) -> None:
    targets = golden[f"{toy}/targets"]
    draw = sampler(targets).draw
    positives, negatives = draw(NUM_BATCHES, BATCH, torch.Generator().manual_seed(0))
    positives, negatives = positives.numpy().ravel(), negatives.numpy().ravel()

    share = np.zeros(len(targets))
    share[golden[f"{toy}/sampler_index_order"]] = golden[f"{toy}/sampler_weights"]
    np.testing.assert_allclose(share.sum(), 1)
    assert_frequencies(positives, share)
    # The negative's class is uniform among the others, the clip uniform within it.
    for label in np.unique(targets):
        of_others = np.where(targets == label, 0.0, share)
        assert_frequencies(negatives[targets[positives] == label], of_others / of_others.sum())


@pytest.mark.parametrize("toy", TOYS)
def test_published_draws_are_possible_here(golden: Golden, toy: str) -> None:
    targets = golden[f"{toy}/targets"]
    _, positive, positive_class, _, negative, negative_class, _ = golden[f"{toy}/draws"].T
    np.testing.assert_array_equal(targets[positive], positive_class)
    np.testing.assert_array_equal(targets[negative], negative_class)
    assert (positive_class != negative_class).all()
    theirs = golden[f"{toy}/sampler_weights"] * len(set(targets))
    ours = 1 / np.bincount(targets)[targets[golden[f"{toy}/sampler_index_order"]]]
    np.testing.assert_allclose(theirs, ours)


@pytest.mark.parametrize("toy", TOYS)
def test_a_clip_has_the_vector_of_its_own_class(golden: Golden, toy: str) -> None:
    """The published loader looks the row up in the order in which a set of ids is iterated."""
    classes, targets = golden[f"{toy}/classes"], golden[f"{toy}/targets"]
    order = golden[f"{toy}/targets_set_order"].tolist()
    draws = golden[f"{toy}/draws"]
    clips = one_vector_each(classes, targets)
    text = clips.class_text[clips.text_row].argmax(dim=1).numpy()
    for clip, label, their_row in np.concatenate([draws[:, 1:4], draws[:, 4:7]]):
        assert their_row == order.index(label)
        assert classes[text[clip]] == label
    if order == classes.tolist():
        np.testing.assert_array_equal(text[draws[:, [1, 4]]], draws[:, [3, 6]])


def one_vector_each(classes: np.ndarray, targets: np.ndarray) -> TrainingClips:
    """Returns clips of which class number ``n`` has the ``n``-th unit vector."""
    features = np.zeros((len(targets), 1), np.float32)
    labelled = LabelledClips(
        clip_ids=[str(row) for row in range(len(targets))],
        video=features,
        audio=features,
        class_row=np.searchsorted(classes, targets),
        partition=np.full(len(targets), TRAIN),
        class_names=[f"{label:03}" for label in classes],
        class_group=np.full(len(classes), TRAIN),
        text=np.eye(len(classes), dtype=np.float32),
        num_missing={},
    )
    return training_clips(labelled, learn_scaling("none", labelled, 1), 1, "cpu")


def official(dataset: str) -> tuple[list[str], dict[str, Path]]:
    """Returns the classes by their published ids, and the files of their vectors."""
    folder = shared_folder("official", "avgzsl_benchmark_datasets", dataset, "class-split")
    vectors, names = FILES[dataset]
    listed = (folder / "all_class.txt").read_text().splitlines()
    paths = {"path": shared_folder("official", "w2v_features", vectors), "names": folder / names}
    return sorted(name.strip() for name in listed if name.strip()), paths


@pytest.mark.parametrize("dataset", FILES)
def test_pairing(golden: Golden, dataset: str) -> None:
    classes, paths = official(dataset)
    own = precomputed.Settings(**paths)
    as_published = precomputed.Settings(**paths, pairing="official")
    ours = precomputed.vectors(own, classes)
    theirs = precomputed.vectors(as_published, classes)
    owner = golden[f"text/{dataset}/row_owner"]
    np.testing.assert_array_equal(theirs, ours[owner])
    cosine = (ours * theirs).sum(axis=1)
    np.testing.assert_allclose(cosine, golden[f"text/{dataset}/cosine_used_vs_true"], atol=1e-6)
    num_wrong = (owner != np.arange(len(owner))).sum()
    assert f"{num_wrong} of {len(owner)} classes" in precomputed.describe(as_published)
    assert "by name" in precomputed.describe(own)


@pytest.mark.parametrize("dataset", FILES)
def test_pairing_of_a_part_of_the_classes(golden: Golden, dataset: str) -> None:
    """A class gets the same vector whichever others are asked for, and in whatever case."""
    classes, paths = official(dataset)
    settings = precomputed.Settings(**paths, pairing="official")
    whole = precomputed.vectors(settings, classes)
    lists = [key for key in golden if key.startswith(f"text/{dataset}/") and key.count("/") == 4]
    assert lists
    for key in lists:
        if len(ids := golden[key]):
            names = [classes[label].swapcase() for label in ids]
            np.testing.assert_array_equal(precomputed.vectors(settings, names), whole[ids])
