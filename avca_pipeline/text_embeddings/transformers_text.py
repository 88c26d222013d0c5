"""Any text tower of the families CLIP, SigLIP, MetaCLIP 2, X-CLIP, VideoPrism, CLAP and PE-AV.

The vectors are in the space of the same model's images, videos or sound, which the backbones
``transformers_images``, ``transformers_video`` and ``transformers_audio`` give. Of EmbeddingGemma 2
the texts alone are taken.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.weights import PUBLISHED, WeightsSettings
from avca_pipeline.runtime.addresses import shown
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.text_embeddings._sentences import Wording, class_vectors
from avca_pipeline.transformer_models.families import Tower, family_names, tower
from avca_pipeline.transformer_models.loading import build, check_installed, tokenizer
from avca_pipeline.transformer_models.repositories import is_folder
from avca_pipeline.transformer_models.repositories import look_up as look_up_model
from avca_pipeline.transformer_models.settings import NamedModel, tower_of
from avca_pipeline.transformer_models.stated_numbers import whole_number

logger = logging.getLogger(__name__)

CITATIONS = ("wolf2020transformers",)
BATCH_TEXTS = 64
POSITIONS = "max_position_embeddings"
MOST_TOKENS = 1_000_000
"""A larger limit counts as none: the library states 1e30 where there is no limit."""


class Settings(Wording, NamedModel):
    """A text tower of the library transformers. Needs the extra ``transformers``."""

    templates: str = "a video of {}"
    """A sentence with ``{}`` in the place of the class name, the name of a list of such sentences
    (``ucf101_video``, ``ucf101_audio``, ``vggsound_video``, ``vggsound_audio``), or a text file
    with one sentence per line. The vector of a class is the mean over the sentences.
    """
    head: Literal["audio", "video", "both"] | None = None
    """For models of the family ``pe_audio_video``: the media that the texts are compared with."""

    def look_up(self, cache: Path) -> None:
        """Raises `PipelineError` unless there is such a model, and it encodes text."""
        config = look_up_model(self.model, self.revision, cache)[1]
        check_installed("text", tower("text", self.model, config, self.head))

    @classmethod
    def choices(cls) -> tuple[str, list[str]]:
        """Returns the families of models that encode text."""
        return "families of transformers", family_names("text")

    def shared_spaces(self, cache: Path) -> tuple[str | None, ...]:
        """Returns the space that the model's other towers share."""
        return (self.space(cache, self.head),)


def inputs(settings: Settings) -> list[Path]:
    """Returns the files with the sentences, and those of a model that is named by its folder."""
    return [*settings.sentence_files(), *settings.model_files()]


def describe(settings: Settings) -> str:
    """Returns where the vectors come from."""
    model = Path(settings.model).name if is_folder(settings.model) else shown(settings.model)
    revision = f" at {settings.revision}" if settings.revision else ""
    head = f", head for {settings.head}" if settings.head else ""
    return f"text tower of {model}{revision}{head}, {settings.wording()}"


def vectors(settings: Settings, class_names: Sequence[str]) -> np.ndarray:
    """Returns ``(classes, dim)`` float32 of length 1.

    Raises:
        PipelineError: the model's files are damaged, or a class has no sentence.
    """
    sentences = settings.sentences(class_names)
    chosen = tower_of(settings, "text", settings.head)
    network, _ = build(settings.folder, chosen, WeightsSettings(weights=PUBLISHED))
    tokens = _Tokens(settings, chosen, network)
    tokens.check_lengths([sentence for said in sentences for sentence in said])

    def embed(texts: list[str]) -> np.ndarray:
        batches = (texts[i : i + BATCH_TEXTS] for i in range(0, len(texts), BATCH_TEXTS))
        with torch.inference_mode():
            rows = [chosen.vectors(network, *tokens.of(batch)).float() for batch in batches]
        embedded: np.ndarray = torch.cat(rows).numpy()
        return embedded

    return class_vectors(sentences, embed)


class _Tokens:
    """Texts as a tower takes them."""

    def __init__(self, settings: Settings, chosen: Tower, network: Any) -> None:
        """Reads the tokenizer.

        Raises:
            PipelineError: the files are damaged, or say nothing about how long a text may be.
        """
        folder = settings.folder
        self._tokenizer = tokenizer(folder)
        if self._tokenizer.pad_token is None:
            raise PipelineError(
                f"{folder}: its tokenizer has no pad_token; add one to tokenizer_config.json"
            )
        # What a config leaves out is the default of the library's class.
        config = getattr(network.config, "text_config", network.config)
        positions = getattr(config, POSITIONS, None)
        longest = self._tokenizer.model_max_length
        shortest = 1 + self._tokenizer.num_special_tokens_to_add()
        most = chosen.text_length or whole_number(folder, "model_max_length", longest, shortest)
        if positions is not None:
            least = shortest + chosen.spare_positions
            most = min(
                most, whole_number(folder, POSITIONS, positions, least) - chosen.spare_positions
            )
        if most > MOST_TOKENS:
            raise PipelineError(
                f"{folder}: says nowhere how long a text may be; add model_max_length to "
                "tokenizer_config.json"
            )
        self._most = most
        self._padding: Any = True if chosen.text_length is None else "max_length"

    def of(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns ``(texts, tokens)`` and which of the tokens are real."""
        encoded = self._tokenizer(
            texts,
            padding=self._padding,
            truncation=True,
            max_length=self._most,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return encoded["input_ids"], encoded["attention_mask"].bool()

    def check_lengths(self, texts: list[str]) -> None:
        """Says how many texts are cut because they are longer than the tower takes."""
        lengths = [len(tokens) for tokens in self._tokenizer(texts)["input_ids"]]
        num_cut = sum(length > self._most for length in lengths)
        if num_cut:
            logger.warning(
                f"embed: {num_cut} of {len(texts)} texts are longer than {self._most} tokens "
                "and are cut"
            )
