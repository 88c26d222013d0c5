"""Whether features and text embeddings are in one space, where a method compares them as they are.

Backbones and text embeddings name their space themselves, see `PluginSettings.shared_spaces`. Of
features and vectors from files only the user knows it; without a name they share no space.
"""

from __future__ import annotations

from pathlib import Path

from avca_pipeline.artifacts.run import Run
from avca_pipeline.config.typed import Config
from avca_pipeline.errors import PipelineError

NO_SPACE = "none"


def check_shared_spaces(config: Config) -> None:
    """Checks the runs of methods that need features and text embeddings in one space.

    Raises:
        PipelineError: one line for each combination without such a space.
    """
    lines = [line for run in config.runs() for line in _mistakes(config, run)]
    if lines:
        raise PipelineError(*dict.fromkeys(lines))


def _mistakes(config: Config, run: Run) -> list[str]:
    """Returns a line for each reason why a run's features and text embeddings do not compare."""
    candidates = config.candidates(run).values()
    if not any(settings.text_spaces(None, None) for settings in candidates):
        return []
    cache = Path(config.cache)
    feature_set = config.feature_sets[run.feature_set]
    spaces = {modality: _space(config, name) for modality, name in feature_set.names.items()}
    video, audio = spaces.get("video"), spaces.get("audio")
    text = config.text_embeddings[run.text_embedding].settings.shared_spaces(cache)
    lines = []
    if feature_set.scaling != "none":
        lines.append(
            f"feature_sets.{run.feature_set}.scaling: {feature_set.scaling} takes features out of "
            f"the space in which models.{run.model} compares them with text embeddings; use none"
        )
    for settings in candidates:
        possible = settings.text_spaces(video, audio)
        if possible and (None in text or text not in possible):
            lines.append(
                f"models.{run.model}: compares features with text embeddings, which must be in the "
                f"same space; those of feature_sets.{run.feature_set}: video {video or NO_SPACE}, "
                f"audio {audio or NO_SPACE}; of text_embeddings.{run.text_embedding}: "
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
