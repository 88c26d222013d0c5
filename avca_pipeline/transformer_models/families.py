"""The families of models that can be named, and how each of them gives its vector.

A repository says in ``config.json`` which family its model is of, as ``model_type``. The library
offers several ways to a vector for most of them; the one here is what the library's own forward
compares with other vectors, scaled to length 1 where that forward does so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.transformer_models import family_vectors

Task: TypeAlias = Literal["images", "video", "audio", "text"]


@dataclass(frozen=True)
class Tower:
    """One tower of a family: what encodes pictures, videos, sound or text.

    Attributes:
        network: name of the library's class.
        processor: name of the library's class that prepares the input; none for text.
        vectors: ``(inputs, dim)`` from the network, the input and ``is_valid``.

            Pictures are ``(inputs, 3, height, width)``, videos ``(inputs, frames, 3, height,
            width)``, both normalised; sound is what the processor gives, time first; text is
            ``(inputs, tokens)``. ``is_valid`` says for each frame, sample or token whether it is
            real, ``(inputs, length)``.
        is_unit: whether the library's forward scales the vectors to length 1.
        unused: parts of the network that the tower does without, ``part.part`` for one of a part.
        num_frames: where the config says how many frames a video has; none if any number will do.
        spare_positions: how many of a text's positions no token ever takes, as in RoBERTa.
        text_length: how many tokens the training filled every text up to; none if it did not.
    """

    network: str
    processor: str
    vectors: family_vectors.Vectors
    is_unit: bool = True
    unused: tuple[str, ...] = ()
    num_frames: tuple[str, ...] = ()
    text_length: int | None = None
    spare_positions: int = 0

    def encode(
        self, network: torch.nn.Module, inputs: torch.Tensor, is_valid: torch.Tensor
    ) -> torch.Tensor:
        """Returns ``(inputs, dim)`` float32, of length 1 where `is_unit` says so.

        Args:
            network: of the library's class `network`.
            inputs: of any floating type, as `vectors` takes them.
            is_valid: ``(inputs, length)``.
        """
        dtype = next(network.parameters()).dtype
        vectors = self.vectors(network, inputs.to(dtype), is_valid).float()
        return torch.nn.functional.normalize(vectors, dim=1) if self.is_unit else vectors


_NO_TEXT = ("text_model", "text_projection")

TOWERS: Mapping[Task, Mapping[str, Tower]] = {
    "images": {
        "clip": Tower(
            "CLIPModel", "CLIPImageProcessor", family_vectors.image_features, unused=_NO_TEXT
        ),
        "siglip": Tower(
            "SiglipModel", "SiglipImageProcessor", family_vectors.image_features, unused=_NO_TEXT
        ),
        "metaclip_2": Tower(
            "MetaClip2Model", "CLIPImageProcessor", family_vectors.image_features, unused=_NO_TEXT
        ),
    },
    "video": {
        "videomae": Tower(
            "VideoMAEModel",
            "VideoMAEVideoProcessor",
            family_vectors.mean_of_tokens("pixel_values"),
            is_unit=False,
            num_frames=("num_frames",),
        ),
        "xclip": Tower(
            "XCLIPModel",
            "CLIPImageProcessor",
            family_vectors.xclip_video,
            unused=(*_NO_TEXT, "prompts_generator"),
            num_frames=("vision_config", "num_frames"),
        ),
        "videoprism": Tower(
            "VideoPrismClipModel",
            "LlavaOnevisionVideoProcessor",
            family_vectors.videoprism_video,
            unused=_NO_TEXT,
            num_frames=("vision_config", "num_frames"),
        ),
        "videoprism_vision_model": Tower(
            "VideoPrismVisionModel",
            "LlavaOnevisionVideoProcessor",
            family_vectors.mean_of_tokens("pixel_values_videos"),
            is_unit=False,
            num_frames=("num_frames",),
        ),
        "vjepa2": Tower(
            "VJEPA2Model",
            "VJEPA2VideoProcessor",
            family_vectors.vjepa2,
            is_unit=False,
            unused=("predictor",),
            num_frames=("frames_per_clip",),
        ),
        "pe_video": Tower(
            "PeVideoModel",
            "PeVideoVideoProcessor",
            family_vectors.pe_video,
            is_unit=False,
            unused=_NO_TEXT,
        ),
        "pe_audio_video": Tower(
            "PeAudioVideoModel",
            "PeVideoVideoProcessor",
            family_vectors.part("video_model", family_vectors.pe_video),
            is_unit=False,
            unused=("text_model", "audio_video_encoder", "audio_model", "video_model.text_model"),
        ),
    },
    "audio": {
        "clap": Tower(
            "ClapModel", "ClapFeatureExtractor", family_vectors.clap_audio, unused=_NO_TEXT
        ),
        "audio-spectrogram-transformer": Tower(
            "ASTModel", "ASTFeatureExtractor", family_vectors.ast, is_unit=False
        ),
        "pe_audio": Tower(
            "PeAudioModel",
            "PeAudioFeatureExtractor",
            family_vectors.pe_audio,
            is_unit=False,
            unused=_NO_TEXT,
        ),
        "pe_audio_video": Tower(
            "PeAudioVideoModel",
            "PeAudioFeatureExtractor",
            family_vectors.part("audio_model", family_vectors.pe_audio),
            is_unit=False,
            unused=("text_model", "audio_video_encoder", "video_model", "audio_model.text_model"),
        ),
    },
    "text": {
        "clip": Tower("CLIPModel", "", family_vectors.text_features, unused=("vision_model",)),
        "siglip": Tower(
            "SiglipModel", "", family_vectors.siglip_text, unused=("vision_model",), text_length=64
        ),
        "metaclip_2": Tower(
            "MetaClip2Model", "", family_vectors.text_features, unused=("vision_model",)
        ),
        "xclip": Tower(
            "XCLIPModel", "", family_vectors.text_features, unused=("vision_model", "mit")
        ),
        "videoprism": Tower(
            "VideoPrismClipModel",
            "",
            family_vectors.text_features,
            unused=("video_model",),
            text_length=64,
        ),
        "clap": Tower(
            "ClapModel",
            "",
            family_vectors.text_features,
            unused=("audio_model",),
            spare_positions=2,
        ),
        "embedding_gemma2": Tower(
            "EmbeddingGemma2Model",
            "",
            family_vectors.gemma_text,
            unused=("vision_tower", "embed_vision", "audio_tower", "embed_audio"),
        ),
        "pe_audio": Tower(
            "PeAudioModel", "", family_vectors.pe_text("text_audio_head"), False, ("audio_encoder",)
        ),
        "pe_video": Tower(
            "PeVideoModel", "", family_vectors.pe_text("text_video_head"), False, ("video_encoder",)
        ),
    },
}
"""By task and family. PE-AV's vectors are compared as they are, so they are not scaled."""

PE_TEXT_HEADS: Mapping[str, Tower] = {
    "audio": Tower(
        "PeAudioVideoModel",
        "",
        family_vectors.part("audio_model", family_vectors.pe_text("text_audio_head")),
        False,
        ("text_model", "audio_video_encoder", "video_model", "audio_model.audio_encoder"),
    ),
    "video": Tower(
        "PeAudioVideoModel",
        "",
        family_vectors.part("video_model", family_vectors.pe_text("text_video_head")),
        False,
        ("text_model", "audio_video_encoder", "audio_model", "video_model.video_encoder"),
    ),
    "both": Tower(
        "PeAudioVideoModel",
        "",
        family_vectors.pe_text("text_audio_video_head"),
        False,
        ("audio_video_encoder", "audio_model", "video_model"),
    ),
}
"""Text towers of ``pe_audio_video``: a text has another vector for each kind of media."""


def family_names(task: Task) -> list[str]:
    """Returns the families that have a tower for a task."""
    names = set(TOWERS[task])
    return sorted(names | {"pe_audio_video"} if task == "text" else names)


def tower(task: Task, model: str, config: Mapping[str, Any], head: str | None = None) -> Tower:
    """Returns a model's tower for a task.

    Args:
        task: what the tower encodes.
        model: what the user calls the model, for the message.
        config: its ``config.json``.
        head: which of the text heads of ``pe_audio_video``; no other family has several.

    Raises:
        PipelineError: the model's family has no such tower, or needs code of its repository.
    """
    family = str(config.get("model_type"))
    families = ", ".join(family_names(task))
    if family not in family_names(task):
        code = (
            " and needs code of its repository, which is never run" if "auto_map" in config else ""
        )
        raise PipelineError(
            f"model {model!r}: is of the family {family!r}{code}; for {task} there are: {families}"
        )
    if family == "pe_audio_video" and task == "text":
        if head is None:
            raise PipelineError(
                f"model {model!r}: has several text heads; say head: audio, video or both"
            )
        return PE_TEXT_HEADS[head]
    if head is not None:
        raise PipelineError(f"model {model!r}: has one text head; leave head out")
    return TOWERS[task][family]
