"""ClipClap beyond what the published code computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.calibration import calibrate
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.models import Batch, Dims, clipclap


def unit(generator: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = generator.standard_normal(shape)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_raw_distances_are_added_with_their_weight() -> None:
    generator = np.random.default_rng(0)
    video, audio, text = unit(generator, 6, 4), unit(generator, 6, 3), unit(generator, 5, 7)
    dims = Dims(video=4, audio=3, text=7)
    distances = {}
    for weight in (0.0, 0.7):
        settings = clipclap.Settings(raw_weight=weight, encoder_dim=8, embedding_dim=5, hidden=6)
        torch.manual_seed(0)
        network = clipclap.build(settings, dims).double().eval()
        with torch.no_grad():
            clips = clipclap.embed_clips(
                settings, network, torch.from_numpy(video), torch.from_numpy(audio)
            )
            classes = clipclap.embed_classes(settings, network, torch.from_numpy(text))
        distances[weight] = clipclap.distances(
            settings, network, clips.numpy(), classes.numpy()
        ).gzsl
    clips = np.concatenate([video, audio], axis=1)
    raw = np.linalg.norm(clips[:, None] - text[None], axis=2)
    np.testing.assert_allclose(distances[0.7], distances[0.0] + 0.7 * raw, atol=1e-12)


def test_raw_distances_need_one_space() -> None:
    settings = clipclap.Settings(raw_weight=1)
    with pytest.raises(PipelineError, match=r"features have 7 values and text embeddings 8;.*0$"):
        clipclap.build(settings, Dims(video=4, audio=3, text=8))


def test_a_method_can_bring_its_own_biases() -> None:
    """With a bias of 4 alone, the unseen clip wins; among those of AVCA none is large enough."""
    distance = np.array([[0.0, 9.0], [1.0, 4.5]])
    targets, is_unseen = np.array([0, 1]), np.array([False, True])
    own = calibrate(Distances(distance, biases=np.array([0.0, 4.0])), targets, is_unseen)
    assert (own.bias, own.hm) == (4.0, pytest.approx(1.0))
    assert calibrate(Distances(distance), targets, is_unseen).hm == 0
    ways = Distances(distance, for_calibration=(distance, distance), biases=np.array([0.0, 4.0]))
    assert calibrate(ways, targets, is_unseen).bias == 4.0


@pytest.mark.parametrize(("modality", "columns"), [("video", (0, 4)), ("audio", (6, 9))])
def test_one_modality_learns_towards_the_text_of_its_own_tower(
    modality: Any, columns: tuple[int, int]
) -> None:
    """Losses, classes and the moved parameters are those of a run that has these columns alone."""
    generator = torch.Generator().manual_seed(0)
    video, audio = torch.randn(6, 4, generator=generator), torch.randn(6, 3, generator=generator)
    classes = torch.randn(5, 9, generator=generator)
    sizes = {"video": (4, 0), "audio": (0, 3)}[modality]
    given = clipclap.Settings(
        modalities=modality, own_text=True, raw_weight=1, encoder_dim=8, embedding_dim=5, hidden=6
    )
    found = []
    for settings, text in (
        (given, classes),
        (given.model_copy(update={"own_text": False}), classes[:, slice(*columns)]),
    ):
        torch.manual_seed(0)
        network = clipclap.build(settings, Dims(*sizes, text=text.shape[1]))
        rows = torch.arange(6) % 5
        batch = Batch(video, audio, text[rows], video, audio, text[rows], text, rows)
        (terms,) = clipclap.steps(settings, network, batch)
        with torch.no_grad():
            embedded = clipclap.embed_classes(settings, network.eval(), text)
        found.append({**terms, **network.state_dict(), "classes": embedded})
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], rtol=0, atol=1e-6)
    assert given.text_spaces("v", "a") == [("v", "a"), (modality[0],)]


def test_own_text_needs_columns_and_changes_nothing_with_both() -> None:
    with pytest.raises(PipelineError, match=r"^video features have 4 values and text embeddings 3"):
        clipclap.build(
            clipclap.Settings(own_text=True, modalities="video"), Dims(video=4, audio=0, text=3)
        )
    both = clipclap.Settings(own_text=True)
    assert both.text_spaces("v", "a") == []
    network = clipclap.build(both, Dims(video=4, audio=3, text=9))
    assert network["text_encoder"][0].in_features == 9
