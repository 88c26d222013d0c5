"""Whether each run has the modalities that it uses, and a method that works with them."""

from __future__ import annotations

from avca_pipeline.artifacts.run import BOTH, Run
from avca_pipeline.config.typed import Config


def mistakes(config: Config) -> list[str]:
    """Returns one line for each feature set and each model that a run cannot be made of."""
    lines = (_mistake(config, run) for run in config.runs())
    return [line for line in dict.fromkeys(lines) if line]


def _mistake(config: Config, run: Run) -> str:
    """Returns what is wrong with the modalities of a run; nothing if it can be made."""
    available = config.feature_sets[run.feature_set].modalities
    if run.modalities == BOTH:
        return ""
    if available not in (BOTH, run.modalities):
        return (
            f"experiment.modalities: {run.modalities}, but feature_sets.{run.feature_set} has "
            f"{available} alone; name its {run.modalities} features too, or leave the one or the "
            "other out"
        )
    cause = (
        f"feature_sets.{run.feature_set} has {available} alone"
        if available == run.modalities
        else f"experiment.modalities names {run.modalities}"
    )
    for settings in config.models[run.model].candidates.values():
        if not settings.works_on_one_modality:
            return (
                f"models.{run.model}: the method needs both video and audio, but {cause}; use "
                "features of both, or leave the model out of that grid"
            )
        if available == BOTH and settings.modalities != BOTH:
            return (
                f"models.{run.model}.modalities: {settings.modalities}, but "
                f"experiment.modalities names {run.modalities}; take the key off the model, or "
                "leave the model out of that grid"
            )
        if settings.modalities not in (BOTH, run.modalities):
            return (
                f"models.{run.model}.modalities: {settings.modalities}, but {cause}; leave the "
                "model out of that grid"
            )
    return ""
