"""Whether features and text embeddings are in one space, where a method compares them as they are.

Backbones and text embeddings name their space themselves, see `PluginSettings.shared_spaces`. Of
features and vectors from files only the user knows it; without a name they share no space.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from avca_pipeline import registry
from avca_pipeline.artifacts.run import Run
from avca_pipeline.config.typed import Config
from avca_pipeline.errors import PipelineError
from avca_pipeline.models import ModelSettings

NO_SPACE = "none"
TRAINING_FREE = "zero_shot"
"""The method by which encoders classify without training."""


def check_shared_spaces(config: Config) -> None:
    """Checks the runs of methods that need features and text embeddings in one space.

    Raises:
        PipelineError: one line for each combination without such a space.
    """
    lines = [line for run in config.runs() for line in _mistakes(config, run)]
    lines += [line for name in config.apply for line in _mistakes_of_applied(config, name)]
    if lines:
        raise PipelineError(*dict.fromkeys(lines))


def _mistakes(config: Config, run: Run) -> list[str]:
    """Returns a line for each reason why a run's features and text embeddings do not compare."""
    candidates = config.candidates(run).values()
    if not any(settings.text_spaces(None, None) for settings in candidates):
        return []
    feature_set = config.feature_sets[run.feature_set]
    lines = []
    if feature_set.scaling != "none":
        lines.append(
            f"feature_sets.{run.feature_set}.scaling: {feature_set.scaling} takes features out of "
            f"the space in which models.{run.model} compares them with text embeddings; use none"
        )
    what = f"models.{run.model}"
    lines += _apart(config, what, candidates, run.feature_set, run.text_embedding)
    return lines


def _mistakes_of_applied(config: Config, name: str) -> list[str]:
    """Returns a line if a set of encoders under ``apply`` and its text embedding do not compare."""
    feature_set = config.apply[name].zero_shot
    if feature_set is None:
        return []
    model: Any = registry.load("models", TRAINING_FREE)
    settings = model.Settings(modalities=config.feature_sets[feature_set].modalities)
    text = config.text_embedding_of_applied(name)
    return _apart(config, f"apply.{name}.zero_shot", [settings], feature_set, text)


def _apart(
    config: Config,
    what: str,
    candidates: Iterable[ModelSettings],
    of_features: str,
    of_text: str,
) -> list[str]:
    """Returns a line for each candidate whose features and text embedding share no space.

    Args:
        config: the config.
        what: compares them: a key.
        candidates: settings of the method.
        of_features: name of the feature set.
        of_text: name of the text embedding.
    """
    cache = Path(config.cache)
    names = config.feature_sets[of_features].names
    spaces = {modality: _space(config, name) for modality, name in names.items()}
    video, audio = spaces.get("video"), spaces.get("audio")
    text = config.text_embeddings[of_text].settings.shared_spaces(cache)
    lines = []
    for settings in candidates:
        possible = settings.text_spaces(video, audio)
        if possible and (None in text or text not in possible):
            lines.append(
                f"{what}: compares features with text embeddings, which must be in the "
                f"same space; those of feature_sets.{of_features}: video {video or NO_SPACE}, "
                f"audio {audio or NO_SPACE}; of text_embeddings.{of_text}: "
                f"{' | '.join(space or NO_SPACE for space in text)}; use the text towers of the "
                "models that made the features, or name the space of imported features and of "
                "precomputed vectors"
            )
    return lines


def _space(config: Config, name: str) -> str | None:
    """Returns the space of the features of a backbone, or of imported ones."""
    if name in config.imported:
        return config.imported[name].space
    spaces = config.backbones[name].settings.shared_spaces(Path(config.cache))
    return spaces[0] if len(spaces) == 1 else None
