"""How each family's network gives its vector for pictures, videos, sound or texts.

Each function takes the network, the input and ``is_valid``, and returns ``(inputs, dim)``; see
`avca_pipeline.transformer_models.families.Tower` for the shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from avca_pipeline.runtime.lazy import torch

Vectors: TypeAlias = "Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]"
"""Returns ``(inputs, dim)`` from a network, an input and ``is_valid``."""


def _pooled(output: Any) -> torch.Tensor:
    """Returns the vector that a method gives as it is, or as a part of its output."""
    vector: torch.Tensor = output if hasattr(output, "shape") else output.pooler_output
    return vector


def image_features(network: Any, pixels: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """Pictures of CLIP, SigLIP and MetaCLIP 2."""
    return _pooled(network.get_image_features(pixel_values=pixels))


def mean_of_tokens(name: str) -> Vectors:
    """Returns a function that takes the mean of all tokens: such networks have no summary token."""

    def vectors(network: Any, pixels: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = network(**{name: pixels}).last_hidden_state
        return tokens.mean(dim=1)

    return vectors


def vjepa2(network: Any, pixels: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """The mean of V-JEPA 2's tokens of a video."""
    tokens: torch.Tensor = network.get_vision_features(pixels)
    return tokens.mean(dim=1)


def xclip_video(network: Any, pixels: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """Videos of X-CLIP."""
    return _pooled(network.get_video_features(pixel_values=pixels))


def videoprism_video(network: Any, pixels: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """Videos of VideoPrism."""
    return _pooled(network.get_video_features(pixel_values_videos=pixels)).flatten(1)


def pe_video(network: Any, pixels: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """Videos of PE-AV."""
    encoded = network.video_encoder(pixel_values_videos=pixels, padding_mask_videos=is_valid)
    vector: torch.Tensor = network.video_head(encoded.pooler_output)
    return vector


def clap_audio(network: Any, features: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """Mel spectrograms of CLAP."""
    # The library calls one sound of a batch longer than a window at random where none is.
    is_longer = features.new_zeros((len(features), 1), dtype=torch.bool)
    mel = features.transpose(1, 2)
    return _pooled(network.get_audio_features(input_features=mel, is_longer=is_longer))


def ast(network: Any, features: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """Filter banks of AST."""
    return _pooled(network(input_values=features))


def pe_audio(network: Any, samples: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """Samples of PE-AV."""
    encoded = network.audio_encoder(input_values=samples[:, None], padding_mask=is_valid)
    vector: torch.Tensor = network.audio_head(encoded.pooler_output)
    return vector


def text_features(network: Any, tokens: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """Texts of families that mask what fills a text up."""
    return _pooled(network.get_text_features(input_ids=tokens, attention_mask=is_valid.long()))


def siglip_text(network: Any, tokens: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """Texts of SigLIP, which was trained without a mask, on texts filled up to one length."""
    return _pooled(network.get_text_features(input_ids=tokens))


def gemma_text(network: Any, tokens: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
    """Returns the mean over the tokens, which are projected already."""
    mask = is_valid.long()
    states: torch.Tensor = network(input_ids=tokens, attention_mask=mask).last_hidden_state
    return (states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def pe_text(head: str) -> Vectors:
    """Returns a function that sends the first token through a head of PE-AV: one for each media."""

    def vectors(network: Any, tokens: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
        states = network.text_model(
            input_ids=tokens, attention_mask=is_valid.long(), output_hidden_states=True
        ).hidden_states
        vector: torch.Tensor = getattr(network, head)(states[-1][:, 0])
        return vector

    return vectors


def part(name: str, vectors: Vectors) -> Vectors:
    """Returns a function that applies ``vectors`` to a part of a network."""

    def vectors_of_part(network: Any, data: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
        return vectors(getattr(network, name), data, is_valid)

    return vectors_of_part
