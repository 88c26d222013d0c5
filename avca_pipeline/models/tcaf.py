"""TCaF: a transformer in which the windows of sound look at those of the picture, and back.

Mercea, Hummel et al.: Temporal and cross-modal attention for audio-visual zero-shot learning (ECCV
2022, https://arxiv.org/abs/2207.09966).

A clip is not the mean of its windows here but all of them, in order. Each window is a token: its
encoded feature with a code of its modality and of its time ``t``, ``Linear([sin, cos](2 pi t f))``
with frequencies ``f`` that are drawn once and never trained. Tokens look at tokens of the other
modality and at a token of the clip, which looks at all and becomes the clip's ``c``. With networks
of one or two blocks of linear layer, batch norm, ReLU and dropout, and the text embedding ``w``:

    theta_w = W_proj(w)    rho_w = D_w(theta_w)
    theta_o = O_proj(c)    rho_o = D_o(theta_o)

    loss = MSE(w, rho_o) + MSE(w, rho_w)                     reconstruction, ``l_rec``
         + MSE(theta_o, theta_w)                             regression, ``l_reg``
         + CE(theta_o · theta_w of all training classes)     classification, ``l_ce``

A clip is of the class whose ``theta_w`` is nearest to its ``theta_o``.

What it assumes: what is seen and what is heard explain each other, and the windows of both carry
enough of the class. What it cannot model: how windows of one modality follow each other, other than
through the other modality and the clip's token, whose layers are few; and anything within a window.
It needs both modalities: there is nothing to look at across otherwise.

The published code has peculiarities that move its numbers. Each is a setting here, and its text
says what is published: ``scores_with_time_stamps``, ``video_norm``, ``counts_padding``,
``refreshes_statistics``, ``multiplies_hops``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, cast

from pydantic import Field, model_validator

from avca_pipeline.models import BatchOverTime, ModelSettings, Windows
from avca_pipeline.models._sequences import Sequences, cut, padded, whole
from avca_pipeline.models._tcaf_network import attended, build
from avca_pipeline.models.defaults import adapt_to_classes, distances, trainable
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("mercea2022tcaf",)
__all__ = [
    "Settings", "adapt_to_classes", "build", "distances", "embed_classes", "embed_clips", "steps",
    "trainable",
]  # fmt: skip


class Settings(ModelSettings):
    """Hyper-parameters of TCaF: those published for UCF-GZSL, cls lists, without peculiarities."""

    over_time: ClassVar[bool] = True

    batches_per_epoch: int = Field(default=300, ge=1)
    """Number of batches in an epoch."""
    batch_size: int = Field(default=64, ge=2)
    """Number of clips in a batch."""
    learning_rate: float = Field(default=7e-5, gt=0)
    """Learning rate of the optimiser Adam."""
    embedding_dim: int = Field(default=64, ge=1)
    """Dimension of the shared space."""
    encoder_hidden: int = Field(default=512, ge=1)
    """Width of the hidden layer of the two encoders."""
    projection_hidden: int = Field(default=512, ge=1)
    """Width of the hidden layer of the projection of clips and of their decoder."""
    code_dim: int = Field(default=64, ge=2, multiple_of=2)
    """Width of the code of a token's modality and time, an even number."""
    depth: int = Field(default=6, ge=1)
    """Number of attention layers."""
    heads: int = Field(default=8, ge=1)
    """Number of attention heads in each layer."""
    head_dim: int = Field(default=64, ge=1)
    """Width of an attention head."""
    attention_hidden: int = Field(default=128, ge=1)
    """Width of the hidden layer of the feed-forward network in each attention layer."""
    encoder_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Dropout in the two encoders."""
    token_dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout of the tokens of windows."""
    attention_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Dropout in the attention layers."""
    projection_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout in the projection of clips and in their decoder (``decoder_dropout`` of the published
    code).
    """
    text_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout in the projection of classes and in their decoder (``additional_dropout`` of the
    published code).
    """
    dropout_bits: Literal[16, 53] = 16
    """Number of random bits behind each decision of dropout on a CPU. 53 is torch's own dropout and
    the published behaviour, down to the order of the random numbers; it takes a fifth of a training
    step on a CPU. 16 draws other numbers and meets the dropout rates to within 2**-17.
    """
    attention: Literal["cross", "self", "both"] = "cross"
    """Which tokens of windows look at each other: those of two modalities, those of one, or all.
    The token of the clip looks at all, and all look at it.
    """
    modality_code: bool = True
    """Whether tokens have a code of their modality."""
    time_code: bool = True
    """Whether tokens have a code of their time."""
    reconstruction: bool = True
    """Whether the loss has the term ``l_rec``."""
    regression: bool = True
    """Whether the loss has the term ``l_reg``."""
    classification: bool = True
    """Whether the loss has the term ``l_ce``."""
    audio_divisor: float = Field(default=255.0, gt=0)
    """What audio features are divided by. 255 suits the 8 bits of VGGish; 1 leaves others as they
    are. Published behaviour: 255 for all.
    """
    video_norm: Literal["window", "time", "none"] = "window"
    """What video features are divided by: the length of the window's vector; the length of each
    of its numbers over the windows of the clip; or nothing. Published behaviour: ``time``, by which
    numbers get smaller with the square root of the clip's length, and all those of a clip of one
    window are 0 or 1.
    """
    train_windows: int = Field(default=0, ge=0)
    """Number of video windows that a longer clip is cut to in training, at random; 0 cuts none.
    Published: 60 for ActivityNet.
    """
    scored_windows: int = Field(default=0, ge=0)
    """Number of video windows that a longer clip is cut to in evaluation, to its middle; 0 cuts
    none. Published: 300 for ActivityNet.
    """
    multiplies_hops: bool = False
    """Whether audio that is cut is shorter than the video beside it. Published behaviour: yes, by a
    multiplication in the place of a division (37 windows for 60 of video, and not 40).
    """
    counts_padding: bool = False
    """Whether the windows that pad short clips count in the batch statistics of the encoders.
    Published behaviour: yes, so that the longest clip of a batch changes all others in training.
    """
    scores_with_time_stamps: bool = True
    """Whether an evaluation gives tokens the code of their time in seconds, as training does.
    Published behaviour: no; it gives the code of the window's number in the place of its seconds.
    """
    refreshes_statistics: bool = False
    """Whether the batch goes through the network once more after each step, in training mode, for
    the running statistics, with times as in an evaluation. Published behaviour: yes.
    """

    @model_validator(mode="after")
    def _has_a_loss(self) -> Settings:
        if not (self.reconstruction or self.regression or self.classification):
            raise ValueError("all losses are off; turn one on")
        return self

    @property
    def needs_steady_hop(self) -> bool:
        """Whether clips are cut: audio is cut to what is beside the video, by the hops of both."""
        return bool(self.train_windows or self.scored_windows)


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: BatchOverTime
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields the loss terms of the one step on a batch, and their ``total``."""
    clips = sequences(settings, batch.video, batch.audio, settings.train_windows, at_random=True)
    yield losses(settings, network, batch, clips)
    if settings.refreshes_statistics:
        with torch.no_grad():
            _theta_of_clips(settings, network, clips, settings.scores_with_time_stamps)
            network["text_projection"](batch.text)


def losses(
    settings: Settings,
    network: torch.nn.ModuleDict,
    batch: BatchOverTime,
    clips: dict[str, Sequences],
) -> dict[str, torch.Tensor]:
    """Returns the loss terms of a batch, and their ``total``.

    The order of the calls is the published one: every call updates batch norms and draws dropout.
    A loss that is off is not computed, but what it would run through still runs, as published.
    """
    functional = torch.nn.functional
    theta = _theta_of_clips(settings, network, clips, in_seconds=True)
    rho = network["clip_decoder"](theta)
    theta_text = network["text_projection"](batch.text)
    rho_text = network["text_decoder"](theta_text)
    terms = {}
    if settings.reconstruction:
        terms["rec_o"] = functional.mse_loss(batch.text, rho)
        terms["rec_w"] = functional.mse_loss(batch.text, rho_text)
    if settings.regression:
        terms["reg"] = functional.mse_loss(theta, theta_text)
    if settings.classification:
        classes = network["text_projection"](batch.class_text)
        terms["ce"] = functional.cross_entropy(theta @ classes.T, batch.text_row)
    return terms | {"total": torch.stack(list(terms.values())).sum()}


def embed_clips(
    settings: Settings, network: torch.nn.ModuleDict, video: Windows, audio: Windows
) -> torch.Tensor:
    """Returns ``theta_o`` of clips, ``(clips, embedding_dim)``."""
    clips = sequences(settings, video, audio, settings.scored_windows, at_random=False)
    return _theta_of_clips(settings, network, clips, settings.scores_with_time_stamps)


def embed_classes(
    settings: Settings, network: torch.nn.ModuleDict, text: torch.Tensor
) -> torch.Tensor:
    """Returns ``theta_w`` of classes, ``(classes, embedding_dim)``."""
    return cast("torch.Tensor", network["text_projection"](text))


def sequences(
    settings: Settings, video: Windows, audio: Windows, length: int, *, at_random: bool
) -> dict[str, Sequences]:
    """Returns the clips of a batch, cut and padded, by modality.

    Args:
        settings: hyper-parameters.
        video: windows of the clips.
        audio: windows of the same clips.
        length: number of video windows that clips are cut to; 0 to cut none.
        at_random: whether to draw where a clip is cut.
    """
    windows = {"audio": audio, "video": video}
    if length:
        cuts = cut(
            video, audio, length, at_random=at_random, multiplies_hops=settings.multiplies_hops
        )
    else:
        cuts = {modality: whole(each.lengths) for modality, each in windows.items()}
    return {modality: padded(windows[modality], cuts[modality]) for modality in windows}


def _theta_of_clips(
    settings: Settings,
    network: torch.nn.ModuleDict,
    clips: dict[str, Sequences],
    in_seconds: bool,
) -> torch.Tensor:
    """Returns ``theta_o`` of clips, ``(clips, embedding_dim)``."""
    clip = attended(settings, network, clips, in_seconds=in_seconds)[:, 0]
    return cast("torch.Tensor", network["clip_projection"](clip))
