"""The model card of a bundle, in the format of the Hugging Face Hub."""

from __future__ import annotations

from typing import Any

import yaml

from avca_pipeline.artifacts import markdown
from avca_pipeline.artifacts.bundle import Bundle
from avca_pipeline.artifacts.scores import Accuracies

SCORES = {
    "seen": "S: mean class accuracy on clips of seen classes",
    "unseen": "U: mean class accuracy on clips of unseen classes",
    "hm": "HM: harmonic mean of S and U",
    "zsl": "ZSL: mean class accuracy on clips of unseen classes among these",
}


def text(bundle: Bundle, licence: str = "") -> str:
    """Returns the text of the card: what Hugging Face reads, then what people read.

    Args:
        bundle: what the card is of.
        licence: of it, as the Hub abbreviates it; empty where nobody has stated it.
    """
    described, scored = bundle.description, bundle.typed_scores()
    header: dict[str, Any] = {
        **({"license": licence} if licence else {}),
        "library_name": "avca_pipeline",
        "pipeline_tag": "video-classification",
        "tags": ["zero-shot", "audio-visual", described.model],
    }
    if scored is not None:
        header["model-index"] = [
            {"name": described.model, "results": [_result(scored.run.dataset, scored.scores)]}
        ]
    backbones = [
        f"| {modality} | {markdown.text(part.plugin)} | `{part.weights}` | {part.dim} |"
        for modality, part in described.backbones.items()
    ]
    accuracies = [] if scored is None else [
        f"| {meaning} | {_percent(getattr(scored.scores, name))} "
        f"| {_percent(getattr(scored.chance, name))} |"
        for name, meaning in SCORES.items()
    ]  # fmt: skip
    seen, unseen = (
        [n for n, is_unseen in zip(described.class_names, described.is_unseen, strict=True)
         if is_unseen == kind]
        for kind in (False, True)
    )  # fmt: skip
    front = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    return "\n".join(
        [
            f"---\n{front}---",
            "",
            f"# {markdown.text(described.model)}, trained on {markdown.text(described.name)}",
            "",
            "It classifies a video among class names, also among names that it was not trained on.",
            "",
            "```",
            "avca predict VIDEO --run THIS_FOLDER",
            "```",
            "",
            "| features | backbone | weights | dimension |",
            "|---|---|---|---|",
            *backbones,
            "",
            f"Class names are embedded by `{markdown.text(described.text.plugin)}`. A bias of "
            f"{described.bias:g} is added to the distances of seen classes. The weights of the "
            "backbones are not part of this folder, and have licences of their own.",
            "",
            *(
                ["| score | here | chance |", "|---|---|---|", *accuracies, ""]
                if accuracies
                else []
            ),
            f"Seen classes ({len(seen)}): {', '.join(map(markdown.text, seen))}.",
            "",
            f"Unseen classes of the test ({len(unseen)}): {', '.join(map(markdown.text, unseen))}.",
            "",
        ]
    )


def _result(dataset: str, scores: Accuracies) -> dict[str, Any]:
    metrics = [
        {"type": "accuracy", "name": meaning, "value": round(value, 6)}
        for name, meaning in SCORES.items()
        if (value := getattr(scores, name)) is not None
    ]
    return {
        "task": {"type": "video-classification"},
        "dataset": {"name": dataset, "type": dataset},
        "metrics": metrics,
    }


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
