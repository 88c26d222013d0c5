"""What a method is handed when it scores clips, and where everything is kept."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.evaluation.labelled_clips import LabelledClips, learn_scaling
from avca_pipeline.evaluation.scoring import (
    choose_epoch_on_test,
    evaluation_set,
    on_device,
    predict,
    validate,
)
from avca_pipeline.models import ClassKnowledge, ModelSettings
from tests.builders import numbered_clips
from tests.numbers.scripted import Network, Scripted

SETTINGS = ModelSettings(epochs=1, batches_per_epoch=1, batch_size=2)


class Strict(Scripted):
    """Insists on its settings and on the classes that it may know of; ranks ZSL by itself."""

    def adapt_to_classes(
        self, settings: ModelSettings, network: Network, known: ClassKnowledge
    ) -> Any:
        assert settings is SETTINGS
        assert isinstance(known, ClassKnowledge)
        return super().adapt_to_classes(settings, network, known)

    def embed_clips(self, settings: ModelSettings, *rest: Any) -> torch.Tensor:
        assert settings is SETTINGS
        return super().embed_clips(settings, *rest)

    def embed_classes(self, settings: ModelSettings, *rest: Any) -> torch.Tensor:
        assert settings is SETTINGS
        return super().embed_classes(settings, *rest)

    def distances(self, settings: ModelSettings, *rest: Any) -> Distances:
        assert settings is SETTINGS
        gzsl = super().distances(settings, *rest).gzsl
        return Distances(gzsl, zsl=-gzsl)


@pytest.fixture
def data() -> LabelledClips:
    return numbered_clips()


@pytest.mark.parametrize("stage", [1, 2])
def test_everything_is_on_the_device(data: LabelledClips, stage: int) -> None:
    """On ``meta``, a device of torch that is in every build and is no processor."""
    clips = on_device(data, learn_scaling("none", data, stage), stage, "meta")
    assert {getattr(clips, each.name).device.type for each in fields(clips)} == {"meta"}
    on = evaluation_set(data, clips, stage)
    known = on.known
    tensors = [on.rows, known.text, known.video, known.audio, known.rows, known.label]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


@pytest.mark.parametrize(
    ("stage", "scored", "trained_on", "classes"),
    [
        (1, ("val_seen", "val_unseen"), ("train",), [0, 1, 2, 3, 4]),
        (2, ("test_seen", "test_unseen"), ("train", "val_seen", "val_unseen"), [0, 1, 2, 3, 4, 5]),
    ],
)
def test_a_trial_is_of_these_clips_and_classes(
    data: LabelledClips, stage: int, scored: tuple[str, ...], trained_on: tuple[str, ...],
    classes: list[int],
) -> None:  # fmt: skip
    clips = on_device(data, learn_scaling("none", data, stage), stage, "cpu")
    on = evaluation_set(data, clips, stage)
    rows = [row for row, name in enumerate(data.partition) if name in scored]
    known = [row for row, name in enumerate(data.partition) if name in trained_on]
    assert on.rows.tolist() == rows
    assert [classes[target] for target in on.column] == data.class_row[rows].tolist()
    assert on.known.rows.tolist() == known
    assert [classes[each] for each in on.known.label] == data.class_row[known].tolist()
    np.testing.assert_array_equal(on.known.text, data.text[classes])
    assert on.known.is_unseen.tolist() == [
        name in ((3, 4) if stage == 1 else (5,)) for name in classes
    ]
    np.testing.assert_array_equal(on.known.video, data.video)
    np.testing.assert_array_equal(on.known.audio, data.audio)


def test_an_outcome_holds_the_embeddings(data: LabelledClips) -> None:
    clips = on_device(data, learn_scaling("none", data, 1), 1, "cpu")
    on = evaluation_set(data, clips, 1)
    found = predict(Strict(["01234"]), SETTINGS, Network(), clips, on)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.clips[:, 0], data.class_row[on.rows.numpy()])
    np.testing.assert_array_equal(found.classes[:, 0], np.arange(5))
    assert found.distances.gzsl.shape == (len(on.rows), 5)


def test_among_unseen_classes_their_own_distances_decide(data: LabelledClips) -> None:
    """What `Strict` sees as nearest it sees as farthest there."""
    clips = on_device(data, learn_scaling("none", data, 1), 1, "cpu")
    on = evaluation_set(data, clips, 1)
    network = Network("01234")
    validated = validate(Strict(), SETTINGS, network, clips, on)  # type: ignore[arg-type]
    assert (validated.seen, validated.unseen, validated.zsl) == (1.0, 1.0, 0.0)
    method, states = Strict(readied=lambda _: [network]), [Network().state_dict()]
    epoch, found, reached = choose_epoch_on_test(
        method, SETTINGS, Network(), states, clips, on
    )  # type: ignore[arg-type]  # fmt: skip
    assert (epoch, reached.seen, reached.unseen, reached.zsl) == (0, 1.0, 1.0, 0.0)
    np.testing.assert_array_equal(found.clips[:, 0], data.class_row[on.rows.numpy()])


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_clips_are_embedded_in_their_order_however_many_at_once(
    data: LabelledClips, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avca_pipeline.evaluation.scoring.EMBED_CLIPS_AT_ONCE", at_once)
    clips = on_device(data, learn_scaling("none", data, 1), 1, "cpu")
    on, method = evaluation_set(data, clips, 1), Strict(["01234"])
    found = predict(method, SETTINGS, Network(), clips, on)  # type: ignore[arg-type]
    assert method.embedded == on.rows.tolist()
    np.testing.assert_array_equal(found.clips[:, 0], data.class_row[on.rows.numpy()])
