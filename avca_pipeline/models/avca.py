"""AVCA, Mercea et al.: Audio-visual Generalised Zero-shot Learning with Cross-modal Attention and
Language (CVPR 2022).

Audio and video features are encoded to one token each (``phi`` in the paper), attend to each
other, and are projected with the class's text embedding into a shared space (``theta``), from
which a decoder leads back to the text embedding (``rho``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

from pydantic import Field

from avca_pipeline.lazy import torch
from avca_pipeline.models import Batch, Dims, ModelSettings
from avca_pipeline.models._plain import distances, prepared

__all__ = [
    "Settings", "build", "distances", "embed_classes", "embed_clips", "prepared", "steps",
    "trainable",
]  # fmt: skip


class Settings(ModelSettings):
    """Hyper-parameters of AVCA; the defaults are the published ones for UCF-GZSL, main split.

    Attributes:
        token_dim: width of the two tokens.
        embedding_dim: of the shared space.
        encoder_hidden: hidden width of the two encoders; 0 makes them one layer.
        projection_hidden: the same of the two projections into the shared space.
        encoder_dropout: in encoders and attention (``embedding_dropout`` of the published code).
        projection_dropout: in the projections of audio and video (``decoder_dropout``).
        decoder_dropout: in decoder, text projection and reconstructions (``additional_dropout``).
        batch_norm_momentum: of the last batch norm of the two-layer networks. Published
            behaviour: all other batch norms keep 0.1.
        depth: attention layers.
        heads: attention heads in each.
        head_dim: width of a head.
        attention_hidden: width of the feed-forward layer.
        margin: of all triplet losses.
        cross_triplets: use the cross-modal triplet loss ``l_t``.
        first_triplet_weight: of its half with clips as anchors' partners.
        second_triplet_weight: of its half with text as anchor.
        regression: use the reconstruction and regression loss ``l_r``.
        trains_positions: whether the optimiser moves the position embeddings. Published
            behaviour: it does not, they stay as they were drawn.
        refreshes_statistics: run the positives through the network once more after each step, in
            training mode. Published behaviour: it does, and since batch norms with a momentum of
            0.99 remember little else, it decides what they hold at test time.
        scored_embedding: which clip embedding is compared with the classes; the paper's is video.
    """

    token_dim: int = Field(default=300, ge=1)
    embedding_dim: int = Field(default=64, ge=1)
    encoder_hidden: int = Field(default=512, ge=0)
    projection_hidden: int = Field(default=512, ge=0)
    encoder_dropout: float = Field(default=0.2, ge=0, lt=1)
    projection_dropout: float = Field(default=0.3, ge=0, lt=1)
    decoder_dropout: float = Field(default=0.5, ge=0, lt=1)
    batch_norm_momentum: float = Field(default=0.1, gt=0, le=1)
    depth: int = Field(default=1, ge=1)
    heads: int = Field(default=3, ge=1)
    head_dim: int = Field(default=100, ge=1)
    attention_hidden: int = Field(default=64, ge=1)
    margin: float = Field(default=1.0, ge=0)
    cross_triplets: bool = True
    first_triplet_weight: float = Field(default=1.0, ge=0)
    second_triplet_weight: float = Field(default=1.0, ge=0)
    regression: bool = True
    trains_positions: bool = False
    refreshes_statistics: bool = True
    scored_embedding: Literal["video", "audio"] = "video"


def build(settings: Settings, dims: Dims) -> torch.nn.ModuleDict:
    """Returns the network's parts by name."""
    nn = torch.nn
    token, shared = settings.token_dim, settings.embedding_dim

    def projection() -> torch.nn.Sequential:
        hidden, dropout = settings.projection_hidden, settings.projection_dropout
        return _layers(settings, token, shared, dropout, hidden)

    def encoder(dim: int) -> torch.nn.Sequential:
        return _layers(settings, dim, token, settings.encoder_dropout, settings.encoder_hidden)

    def one_layer(dim_in: int, dim_out: int) -> torch.nn.Sequential:
        return _layers(settings, dim_in, dim_out, settings.decoder_dropout)

    network = nn.ModuleDict(
        {
            "audio_encoder": encoder(dims.audio),
            "video_encoder": encoder(dims.video),
            "attention": nn.ModuleList([_attention_layer(settings) for _ in range(settings.depth)]),
            "text_projection": one_layer(dims.text, shared),
            "decoder": one_layer(shared, dims.text),
            "audio_projection": projection(),
            "video_projection": projection(),
            "audio_reconstruction": one_layer(shared, token),
            "video_reconstruction": one_layer(shared, token),
        }
    )
    network.register_parameter("positions", nn.Parameter(torch.randn(2, token)))
    return network


def trainable(settings: Settings, network: torch.nn.ModuleDict) -> list[torch.nn.Parameter]:
    """Returns all parameters, without the position embeddings unless they are trained."""
    return [
        parameter
        for name, parameter in network.named_parameters()
        if name != "positions" or settings.trains_positions
    ]


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields the loss terms of the one step on a batch."""
    yield losses(settings, network, batch)
    after_step(settings, network, batch)


def losses(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> dict[str, torch.Tensor]:
    """Returns the loss terms of a batch, named as in the paper, and their ``total``.

    The order of the calls is the published one: every call updates batch norms and draws dropout.
    """
    mse = torch.nn.functional.mse_loss

    def triplet(
        anchor: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor
    ) -> torch.Tensor:
        return torch.nn.functional.triplet_margin_loss(
            anchor, positive, negative, margin=settings.margin
        )

    phi_a, phi_v = network["audio_encoder"](batch.audio), network["video_encoder"](batch.video)
    phi_a_neg = network["audio_encoder"](batch.negative_audio)
    phi_v_neg = network["video_encoder"](batch.negative_video)
    w = batch.text
    theta_w = network["text_projection"](w)
    theta_w_neg = network["text_projection"](batch.negative_text)
    rho_w = network["decoder"](theta_w)
    network["decoder"](theta_w_neg)  # published: only its batch norm notices

    token_a, token_v = _attend(settings, network, phi_a, phi_v)
    token_a_neg, token_v_neg = _attend(settings, network, phi_a_neg, phi_v_neg)
    theta_v = network["video_projection"](token_v)
    theta_v_neg = network["video_projection"](token_v_neg)
    theta_a = network["audio_projection"](token_a)
    theta_a_neg = network["audio_projection"](token_a_neg)

    phi_v_rec = network["video_reconstruction"](theta_v)
    phi_a_rec = network["audio_reconstruction"](theta_a)
    with torch.no_grad():  # published: only their batch norms notice
        network["audio_projection"](phi_a_rec)
        network["video_projection"](phi_v_rec)

    rho_a, rho_a_neg = network["decoder"](theta_a), network["decoder"](theta_a_neg)
    rho_v, rho_v_neg = network["decoder"](theta_v), network["decoder"](theta_v_neg)

    terms = {
        "rec_v": mse(w, rho_v),
        "rec_a": mse(w, rho_a),
        "rec_w": mse(w, rho_w),
        "ct_v": triplet(rho_w, rho_v, rho_v_neg),
        "ct_a": triplet(rho_w, rho_a, rho_a_neg),
        "w_ta": triplet(theta_w, theta_a, theta_a_neg),
        "w_at": triplet(theta_a, theta_w, theta_w_neg),
        "w_tv": triplet(theta_w, theta_v, theta_v_neg),
        "w_vt": triplet(theta_v, theta_w, theta_w_neg),
    }
    if settings.cross_triplets:
        first, second = settings.first_triplet_weight, settings.second_triplet_weight
        terms |= {
            "t_first_a": first * triplet(theta_a, theta_w, theta_a_neg),
            "t_first_v": first * triplet(theta_v, theta_w, theta_v_neg),
            "t_second_a": second * triplet(theta_w, theta_a, theta_w_neg),
            "t_second_v": second * triplet(theta_w, theta_v, theta_w_neg),
        }
    if settings.regression:
        terms |= {
            "r_phi_v": mse(phi_v_rec, phi_v),
            "r_phi_a": mse(phi_a_rec, phi_a),
            "r_theta_v": mse(theta_v, theta_w),
            "r_theta_a": mse(theta_a, theta_w),
        }
    return terms | {"total": torch.stack(list(terms.values())).sum()}


def after_step(settings: Settings, network: torch.nn.ModuleDict, batch: Batch) -> None:
    """Lets the batch norms see the positives once more, with the parameters after the step."""
    if settings.refreshes_statistics:
        with torch.no_grad():
            phi_a = network["audio_encoder"](batch.audio)
            phi_v = network["video_encoder"](batch.video)
            network["text_projection"](batch.text)
            token_a, token_v = _attend(settings, network, phi_a, phi_v)
            network["audio_projection"](token_a)
            network["video_projection"](token_v)


def embed_clips(
    settings: Settings, network: torch.nn.ModuleDict, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """Returns ``theta_v`` (or ``theta_a``) of clips, ``(clips, embedding_dim)``."""
    phi_a, phi_v = network["audio_encoder"](audio), network["video_encoder"](video)
    token_a, token_v = _attend(settings, network, phi_a, phi_v)
    if settings.scored_embedding == "audio":
        return cast("torch.Tensor", network["audio_projection"](token_a))
    return cast("torch.Tensor", network["video_projection"](token_v))


def embed_classes(
    settings: Settings, network: torch.nn.ModuleDict, text: torch.Tensor
) -> torch.Tensor:
    """Returns ``theta_w`` of classes, ``(classes, embedding_dim)``."""
    return cast("torch.Tensor", network["text_projection"](text))


def _layers(
    settings: Settings, dim_in: int, dim_out: int, dropout: float, hidden: int = 0
) -> torch.nn.Sequential:
    """Returns one or two blocks of linear layer, batch norm, ReLU and dropout."""
    nn = torch.nn
    if not hidden:
        return nn.Sequential(
            nn.Linear(dim_in, dim_out), nn.BatchNorm1d(dim_out), nn.ReLU(), nn.Dropout(dropout)
        )
    last_norm = nn.BatchNorm1d(dim_out, momentum=settings.batch_norm_momentum)
    return nn.Sequential(
        nn.Linear(dim_in, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, dim_out), last_norm, nn.ReLU(), nn.Dropout(dropout),
    )  # fmt: skip


def _attention_layer(settings: Settings) -> torch.nn.ModuleDict:
    nn = torch.nn
    token, width, dropout = (
        settings.token_dim,
        settings.heads * settings.head_dim,
        settings.encoder_dropout,
    )
    return nn.ModuleDict(
        {
            "attention_norm": nn.LayerNorm(token),
            "qkv": nn.Linear(token, 3 * width, bias=False),
            "out": nn.Sequential(nn.Linear(width, token), nn.Dropout(dropout)),
            "feed_forward_norm": nn.LayerNorm(token),
            "feed_forward": nn.Sequential(
                nn.Linear(token, settings.attention_hidden), nn.GELU(), nn.Dropout(dropout),
                nn.Linear(settings.attention_hidden, token), nn.Dropout(dropout),
            ),
        }
    )  # fmt: skip


def _attend(
    settings: Settings, network: torch.nn.ModuleDict, phi_a: torch.Tensor, phi_v: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the audio and the video token after attention, each added to its encoding."""
    tokens = torch.stack([phi_a, phi_v], dim=1) + network.get_parameter("positions")
    for layer in cast("torch.nn.ModuleList", network["attention"]):
        parts = cast("torch.nn.ModuleDict", layer)
        query, key, value = (
            part.unflatten(-1, (settings.heads, settings.head_dim)).transpose(1, 2)
            for part in parts["qkv"](parts["attention_norm"](tokens)).chunk(3, dim=-1)
        )
        scores = query @ key.transpose(-1, -2) * settings.head_dim**-0.5
        mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)
        tokens = parts["out"](mixed) + tokens
        tokens = parts["feed_forward"](parts["feed_forward_norm"](tokens)) + tokens
    return phi_a + tokens[:, 0], phi_v + tokens[:, 1]
