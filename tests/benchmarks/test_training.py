"""The plain loop of TCaF computes what the package computes, so that their times compare."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from avca_pipeline.artifacts.split import TRAIN
from avca_pipeline.evaluation.device_clips import training_clips
from avca_pipeline.evaluation.labelled_clips import learn_scaling
from avca_pipeline.models import Dims, tcaf
from tests.benchmarks.plain_loop_over_time import PlainLoopOverTime
from tests.benchmarks.training import PECULIAR
from tests.builders import labelled_clips, over_time

SMALL: dict[str, Any] = {
    "encoder_hidden": 8, "projection_hidden": 8, "embedding_dim": 6, "code_dim": 4, "depth": 1,
    "heads": 2, "head_dim": 4, "attention_hidden": 8, "batch_size": 16,
    "encoder_dropout": 0, "token_dropout": 0, "attention_dropout": 0, "projection_dropout": 0,
    "text_dropout": 0,
}  # fmt: skip


def test_a_batch_of_the_plain_loop_gives_our_loss_and_statistics() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    data = over_time(labelled_clips())
    clips = training_clips(data, learn_scaling("none", data, 1), 1, "cpu")
    settings = tcaf.Settings(**SMALL, **PECULIAR)
    dims = Dims(video=12, audio=12, text=10)
    plain = PlainLoopOverTime(tcaf, settings, dims, data, clips.class_text, 1)
    network = tcaf.build(settings, dims)
    network.load_state_dict(plain.network.state_dict())
    (batch,) = plain.batches(data.rows(TRAIN))
    rows = torch.from_numpy(np.searchsorted(data.rows(TRAIN), batch.rows.numpy()))
    assert not batch.clips["video"].is_real.all()
    theirs = plain.losses(batch)
    plain.embed(batch)
    (ours,) = tcaf.steps(settings, network, clips.batch(rows, rows))
    assert ours.keys() == theirs.keys()
    for name, term in ours.items():
        torch.testing.assert_close(term, theirs[name], msg=name)
    torch.testing.assert_close(network.state_dict(), plain.network.state_dict())
