"""What SeLaVi's two backbones share: where their weights are, and which windows the paper took.

SeLaVi, Asano et al.: Labelling unlabelled videos from scratch with multi-modal self-supervision
(NeurIPS 2020). Its weights are CC BY-NC; nothing of its code is used here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from avca_pipeline.fetching.network_weights import load_weights
from avca_pipeline.fetching.weights import PUBLISHED, PublishedWeights, WeightsSettings
from avca_pipeline.runtime.lazy import torch


class Settings(WeightsSettings):
    """SeLaVi."""

    windows: Literal["covering", "official-script"] = "covering"
    """Which windows of a clip the networks see. ``covering`` takes windows of one second side by
    side, and the last one ends with the clip. ``official-script`` takes the windows of the paper's
    scripts, which overlap and leave out the end of most clips: of a clip of 10 s they cover 82 %,
    of a clip of 5 s 44 %.
    """

    @property
    def has_steady_hop(self) -> bool:
        """Whether windows are equally far apart in all clips."""
        return self.windows == "covering"


def published(settings: Settings) -> PublishedWeights:
    """Returns the weights of SeLaVi's authors."""
    return PublishedWeights(
        "https://dl.fbaipublicfiles.com/selavi/selavi_vgg_sound.pth",
        "CC BY-NC 4.0: not for commercial use",
    )


def pretraining_classes(settings: Settings) -> tuple[str, ...] | None:
    """Returns none for the published weights: they were trained without labels."""
    return () if settings.weights == PUBLISHED else settings.stated_classes()


def official_starts(num_frames: int, fps: float) -> list[int]:
    """Returns the first frame of each window of the published script; none under two seconds.

    The steps between them are for 10, 20, 30, … windows, however many there are.
    """
    num_windows = max(0, int(num_frames / fps) - 1)
    tens = num_windows // 10 + 1
    return [int((num_frames - fps) * 100 * index / (1000 * tens)) for index in range(num_windows)]


def fill_part(network: torch.nn.Module, settings: Settings, cache: Path, modality: str) -> str:
    """Fills one of the two networks from a checkpoint of both, their heads left aside."""
    own = f"{modality}_network.base."
    others = re.compile(r"(video|audio)_network\.base\..*|mlp_[av]\d*\..*")
    return load_weights(
        network,
        settings,
        cache,
        published=published(settings),
        prefix=own,
        unused=lambda name: not name.startswith(own) and bool(others.fullmatch(name)),
    )
