"""ClipClap beyond what the published code computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.calibration import calibrate
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.models import Dims, clipclap


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
