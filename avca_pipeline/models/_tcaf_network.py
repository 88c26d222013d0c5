"""The network of TCaF, and how it leads from clips over time to the token of each clip."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from avca_pipeline.models import Dims
from avca_pipeline.models._blocks import attend, attention_layer, dropout, linear_blocks
from avca_pipeline.models._sequences import Sequences
from avca_pipeline.runtime.lazy import torch

if TYPE_CHECKING:
    from avca_pipeline.models.tcaf import Settings

MODALITIES = ("audio", "video")
"""In the order of their tokens."""
FREQUENCY_SCALE = 10.0
"""Standard deviation of each of the two draws that a frequency is the sum of, in Hz."""


def build(settings: Settings, dims: Dims) -> torch.nn.ModuleDict:
    """Returns the network's parts by name; tokens are as wide as the text embeddings."""
    nn = torch.nn
    token, shared, code = dims.text, settings.embedding_dim, settings.code_dim
    hidden = settings.projection_hidden

    def new(share: float) -> Callable[[], torch.nn.Module]:
        return functools.partial(dropout, share, settings.dropout_bits)

    projection, text = new(settings.projection_dropout), new(settings.text_dropout)
    encoder = functools.partial(
        linear_blocks,
        dim_out=token,
        new_dropout=new(settings.encoder_dropout),
        hidden=settings.encoder_hidden,
    )
    parts: dict[str, nn.Module] = {}
    for modality in MODALITIES:
        parts[f"{modality}_encoder"] = encoder(getattr(dims, modality))
        parts[f"{modality}_tokens"] = nn.Linear(token + code, token)
    parts["token_dropout"] = new(settings.token_dropout)()
    if settings.time_code:
        parts["time_code"] = nn.Linear(code, code)
    parts["attention"] = nn.ModuleList(
        attention_layer(
            token,
            settings.heads,
            settings.head_dim,
            settings.attention_hidden,
            new(settings.attention_dropout),
            shares_norm=True,
        )
        for _ in range(settings.depth)
    )
    parts["text_projection"] = linear_blocks(token, shared, text)
    parts["text_decoder"] = linear_blocks(shared, token, text)
    parts["clip_projection"] = linear_blocks(token, shared, projection, hidden=hidden)
    parts["clip_decoder"] = linear_blocks(shared, token, projection, hidden=hidden)
    network = nn.ModuleDict(parts)
    network.register_parameter("clip_token", nn.Parameter(torch.randn(token)))
    network.register_parameter("padding_code", nn.Parameter(torch.randn(code)))
    if settings.modality_code:
        network.register_parameter("modality_codes", nn.Parameter(torch.randn(2, code)))
    if settings.time_code:
        draws = torch.randn(2, code // 2)
        network.register_buffer("frequencies", FREQUENCY_SCALE * draws)
    return network


def attended(
    settings: Settings,
    network: torch.nn.ModuleDict,
    clips: dict[str, Sequences],
    *,
    in_seconds: bool,
) -> torch.Tensor:
    """Returns ``(clips, 1 + windows, token dim)`` after attention: the clip's token and the rest.

    Tokens of windows that pad a clip look at others like real ones, and nothing looks at them.

    Args:
        settings: hyper-parameters.
        network: from `build`.
        clips: windows of each modality.
        in_seconds: whether times are seconds or numbers of windows.
    """
    encoded = {m: _encoded(settings, network, m, clips[m]) for m in MODALITIES}
    windows = [_tokens(settings, network, m, clips[m], encoded[m], in_seconds) for m in encoded]
    clip = network.get_parameter("clip_token").expand(len(windows[0]), 1, -1)
    tokens = torch.cat([clip, *windows], dim=1)
    allowed = _allowed(settings, [clips[m].is_real for m in MODALITIES])
    for layer in cast("torch.nn.ModuleList", network["attention"]):
        tokens = attend(cast("torch.nn.ModuleDict", layer), tokens, settings.heads, allowed)
    return tokens


def _encoded(
    settings: Settings, network: torch.nn.ModuleDict, modality: str, clips: Sequences
) -> torch.Tensor:
    """Returns encoded windows, ``(clips, length, token dim)``."""
    values = _scaled(settings, modality, clips.values)
    flat, encoder = values.flatten(0, 1), network[f"{modality}_encoder"]
    if settings.counts_padding:
        encoded = encoder(flat)
    else:
        real = encoder(flat[clips.rows])
        encoded = real.new_zeros(len(flat), real.shape[1]).index_copy(0, clips.rows, real)
    return cast("torch.Tensor", encoded.unflatten(0, values.shape[:2]))


def _scaled(settings: Settings, modality: str, values: torch.Tensor) -> torch.Tensor:
    """Returns features as the encoder takes them."""
    if modality == "audio":
        return values / settings.audio_divisor
    if settings.video_norm == "none":
        return values
    dim = 1 if settings.video_norm == "time" else 2
    return torch.nn.functional.normalize(values, dim=dim)


def _tokens(
    settings: Settings,
    network: torch.nn.ModuleDict,
    modality: str,
    clips: Sequences,
    encoded: torch.Tensor,
    in_seconds: bool,
) -> torch.Tensor:
    """Returns the tokens of windows, ``(clips, length, token dim)``."""
    code = torch.where(clips.is_real[..., None], 0.0, network.get_parameter("padding_code"))
    if settings.modality_code:
        code = code + network.get_parameter("modality_codes")[MODALITIES.index(modality)]
    if settings.time_code:
        times = clips.times_s
        if not in_seconds:
            times = torch.arange(times.shape[1], device=times.device).to(times).expand_as(times)
        frequencies = network.get_buffer("frequencies").double().sum(dim=0)
        angle = 2 * math.pi * times[..., None] * frequencies
        waves = torch.cat([angle.sin(), angle.cos()], dim=-1).to(encoded.dtype)
        code = code + network["time_code"](waves)
    tokens = network[f"{modality}_tokens"](torch.cat([encoded, code], dim=-1))
    # In the published layout, so that dropout's random numbers fall on the same entries.
    dropped = network["token_dropout"](tokens.transpose(1, 2).contiguous())
    return cast("torch.Tensor", dropped.transpose(1, 2))


def _allowed(settings: Settings, is_real: list[torch.Tensor]) -> torch.Tensor:
    """Returns ``(clips, tokens, tokens)``, whether the row's token may look at the column's.

    Nothing looks at padding, and the token of the clip, which is the first, looks at all the rest
    and is seen by all.
    """
    clip = is_real[0].new_ones(len(is_real[0]), 1)
    real = torch.cat([clip, *is_real], dim=1)
    kind = torch.cat(
        [torch.full((part.shape[1],), number, device=part.device)
         for number, part in enumerate([clip, *is_real])]
    )  # fmt: skip
    same = kind[:, None] == kind
    of_clip = (kind[:, None] == 0) | (kind == 0)
    looks = {"cross": ~same | of_clip, "self": same | of_clip, "both": same | ~same}
    return looks[settings.attention] & real[:, None]
