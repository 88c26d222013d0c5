"""How many classes and clips a score rests on, and whether its text embedding holds language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from avca_pipeline.reporting.tables import Row
from avca_pipeline.text_embeddings.hashed import NO_LANGUAGE

MIN_CLIPS = 30
MIN_CLIPS_OF_A_CLASS = 5
RANDOM = "random"
"""How the weights of a backbone begin that have seen nothing."""


def thin_evidence(row: Row) -> list[str]:
    """Returns in words which scores of a row rest on little: one class, or a handful of clips."""
    remarks = []
    for is_unseen, kind, scores in ((False, "seen", "S"), (True, "unseen", "U and ZSL")):
        clips = clips_of_classes(row, is_unseen=is_unseen)
        few = sum(number < MIN_CLIPS_OF_A_CLASS for number in clips)
        if len(clips) == 1:
            always = "; ZSL is 100 whatever the model does" if is_unseen else ""
            remarks.append(f"{scores}: one {kind} class with {_counted(clips[0])}{always}")
        elif clips and sum(clips) < MIN_CLIPS:
            remarks.append(f"{scores}: {_counted(sum(clips))} of {len(clips)} {kind} classes")
        elif few:
            remarks.append(
                f"{scores}: {few} of {len(clips)} {kind} classes have fewer than "
                f"{MIN_CLIPS_OF_A_CLASS} clips"
            )
    return remarks


def clips_of_classes(row: Row, *, is_unseen: bool) -> list[int]:
    """Returns how many test clips each seen or unseen class has, without classes that have none."""
    return [
        accuracy.num_clips
        for accuracy in row.runs[0].per_class
        if accuracy.is_unseen is is_unseen and accuracy.num_clips
    ]


def num_clips(row: Row) -> dict[str, int]:
    """Returns how many test clips each score of a row rests on."""
    seen, unseen = (sum(clips_of_classes(row, is_unseen=kind)) for kind in (False, True))
    return {"seen": seen, "unseen": unseen, "hm": seen + unseen, "zsl": unseen}


def weights_of(stated: Mapping[str, str]) -> str:
    """Returns the weights behind features; of imported ones only random weights are told.

    Args:
        stated: what the features say of themselves.
    """
    made_with = parsed(stated.get("made_with", ""))  # of features that were published elsewhere
    weights = str(made_with.get("weights", ""))
    return weights if weights.startswith(RANDOM) else stated.get("weights", "")


def parsed(written: object) -> Mapping[str, Any]:
    """Returns settings that a file states as JSON; none where it states something else."""
    try:
        value = json.loads(str(written))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _counted(number: int) -> str:
    return f"{number} clip{'s' if number != 1 else ''}"


def without_language(row: Row) -> list[str]:
    """Returns in words that a row's text embedding knows no language, where features are no noise.

    Vectors of ``hashed`` say whether two names have a word in common and nothing else, which is
    enough to try a pipeline with random weights.
    """
    provenance = row.runs[0].provenance
    # What a feature set of one modality does not have is empty.
    backbones = filter(None, (provenance.video, provenance.audio))
    if all(weights_of(attributes).startswith(RANDOM) for attributes in backbones):
        return []
    if NO_LANGUAGE not in provenance.text_embedding:
        return []
    return [
        f"the text embedding {row.names['text_embedding']} is of hashed words, which hold no "
        "language: what is unseen is guessed; use wordllama or a text tower"
    ]
