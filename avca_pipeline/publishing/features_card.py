"""The dataset card of published features, in the format of the Hugging Face Hub."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from avca_pipeline import __version__, registry
from avca_pipeline.artifacts import markdown
from avca_pipeline.artifacts.feature_folder import CLIPS, REJECTED, file_name
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.errors import PipelineError, one_line
from avca_pipeline.fetching.weights import PUBLISHED, RANDOM

if TYPE_CHECKING:
    from avca_pipeline.publishing.features import Given

MAX_REJECTED = 50
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
NOT_KNOWN = "not known to the pipeline"
ASK = f"{NOT_KNOWN}; ask who publishes the dataset"
MEMBERS = (
    ("clip_id", "(clips,) text", "id of each clip that has features, sorted"),
    ("features", "(clips, dim) float32", "mean over the windows of the clip"),
    ("num_windows", "(clips,) int64", "how many windows that mean is over"),
    ("is_padded", "(clips,) bool", "whether the clip is shorter than one window and was padded"),
    ("notes/gap_s", "(clips,) float64", "seconds of silence or of a held picture in a gap"),
    ("notes/num_jumps", "(clips,) float64", "jumps of time stamps that were joined"),
    ("notes/num_damaged", "(clips,) float64", "packets that were left out"),
    ("notes/tilt_deg", "(clips,) float64", "angle of display that was not applied"),
    ("media_sha256", "(clips,) text", "SHA-256 of the file of the clip, where it is known"),
    ("rejected/clip_id", "(rejected,) text", "id of each clip without features"),
    ("rejected/reason", "(rejected,) text", "why it has none"),
)
OVER_TIME = (
    ("windows", "(windows, dim) float32", "features of all windows, clip after clip"),
    ("window_starts_s", "(windows,) float64", "where each begins in its clip, in seconds"),
    ("offsets", "(clips + 1,) int64", "clip i has the windows offsets[i] to offsets[i + 1]"),
)


def text(
    dataset: str,
    given: Sequence[Given],
    clips: Sequence[Clip],
    licence: str,
    licence_of_clips: str = "",
) -> str:
    """Returns the card: what the Hub reads, then what people read.

    Args:
        dataset: its name.
        given: the features.
        clips: of the dataset, as far as they are listed.
        licence: of the features, as the Hub abbreviates it.
        licence_of_clips: in words; empty where it is not known.
    """
    sections = [
        f"---\n{_header(dataset, given, clips, licence)}---",
        f"# Features of {markdown.text(dataset)}",
        f"Made by avca_pipeline {__version__}. {_counted(given, clips)}",
        markdown.table(
            ("file", "features", "modality", "clips", "dimension", "rejected"),
            [
                (
                    f"`{file_name(part.modality)}`",
                    markdown.text(part.name),
                    part.modality,
                    len(part.value.clip_ids),
                    part.value.features.shape[1],
                    len(part.value.rejected),
                )
                for part in given
            ],
        ),
        "## How to read it",
        _python(given[0].modality),
        "In a config of avca_pipeline, where `path` is this folder or `hf:owner/name@revision`:",
        _config(given, clips),
        "## What made the features",
        *(_made_with(part) for part in given),
        "## Licence",
        _licence(given, licence, licence_of_clips),
        "## What a file holds",
        "HDF5; arrays of one length are in one order. The file is whole if its SHA-256 is the one "
        "in `features.json`.",
        markdown.table(
            ("name", "shape and type", "what it is"),
            [
                (f"`{name}`", kind, meaning)
                for name, kind, meaning in (
                    *MEMBERS,
                    *(OVER_TIME if any(part.value.has_windows for part in given) else ()),
                )
            ],
        ),
        *(
            [
                f"`{CLIPS}` lists all clips with their recording and class: `clip_id`, "
                "`source_id`, `class_name`, `path_or_url` (the name of the file alone, or an "
                "address without its secrets), `start_s` and `end_s`."
            ]
            if clips
            else []
        ),
        "## Rejected clips",
        _rejected(given),
    ]
    return "\n\n".join(sections) + "\n"


def _header(dataset: str, given: Sequence[Given], clips: Sequence[Clip], licence: str) -> str:
    number = max([len(clips), *(len(part.value.clip_ids) for part in given)])
    header: dict[str, Any] = {
        "pretty_name": f"Features of {one_line(dataset)}",
        "license": licence,
        "task_categories": ["video-classification", "feature-extraction"],
        "tags": ["audio-visual", "zero-shot", "avca_pipeline"],
        "size_categories": [next((size for most, size in SIZES if number < most), "n>1M")],
    }
    if clips:
        header["configs"] = [{"config_name": "clips", "data_files": CLIPS}]
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True)


def _counted(given: Sequence[Given], clips: Sequence[Clip]) -> str:
    if not clips:
        return "A vector for each clip, or the reason why it has none."
    classes = len({clip.class_name for clip in clips})
    return (
        f"{len(clips)} clips of {classes} classes. Each has a vector, or a reason why it has none."
    )


def _python(modality: str) -> str:
    return (
        "```python\n"
        "import h5py\n"
        f'with h5py.File("{file_name(modality)}", locking=False) as file:\n'
        '    clip_ids, features = file["clip_id"].asstr()[:], file["features"][:]\n'
        '    reasons = file["rejected/reason"].asstr()[:]\n'
        "print(len(clip_ids), features.shape, len(reasons))\n"
        "```"
    )


def _config(given: Sequence[Given], clips: Sequence[Clip]) -> str:
    imported = {}
    for part in given:
        entry: dict[str, Any] = {"modality": part.modality, "path": "THIS_FOLDER"}
        if part.value.has_windows and part.value.hop_s > 0 and part.value.window_s > 0:
            entry |= {
                "keep_windows": True,
                "window_s": part.value.window_s,
                "hop_s": part.value.hop_s,
            }
        imported[part.name] = entry
    content: dict[str, Any] = {"imported": imported}
    if clips:
        content = {
            "datasets": {"mine": {"plugin": "table", "path": f"THIS_FOLDER/{CLIPS}"}},
            **content,
        }
    return f"```yaml\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}```"


def _made_with(part: Given) -> str:
    value = part.value
    named = ("backbone", "weights", "preprocessing")
    rows = [(name, value.attributes.get(name, NOT_KNOWN)) for name in named]
    rows += [
        (f"{name}, in seconds", f"{seconds:g}")
        for name, seconds in (("window", value.window_s), ("hop", value.hop_s))
        if not math.isnan(seconds)
    ]
    rows += [(name, text) for name, text in sorted(value.attributes.items()) if name not in named]
    return f"{markdown.text(part.name)}:\n\n" + markdown.table(
        ("what", "which"), [(markdown.text(name), markdown.text(text)) for name, text in rows]
    )


def _licence(given: Sequence[Given], licence: str, licence_of_clips: str) -> str:
    lines = [
        "- The features: "
        + ("not stated by who published them" if licence == "unknown" else markdown.text(licence))
        + ".",
        *(
            f"- The weights of {markdown.text(part.name)}: {markdown.text(weights_licence(part))}."
            for part in given
        ),
        f"- The clips: {markdown.text(licence_of_clips or ASK)}.",
    ]  # fmt: skip
    return "\n".join(lines)


def weights_licence(part: Given) -> str:
    """Returns the licence of the weights that made features, as far as their plugin knows it."""
    attributes = part.value.attributes
    if attributes.get("weights", "").startswith(RANDOM):
        return "none, they are random numbers"
    try:
        module = registry.load("backbones", attributes.get("backbone", ""))
        settings = module.Settings(**json.loads(attributes.get("preprocessing", "{}")))
        published = module.published(settings)
    except (PipelineError, ValidationError, ValueError, TypeError):
        return NOT_KNOWN
    if published is None or getattr(settings, "weights", PUBLISHED) != PUBLISHED:
        return NOT_KNOWN
    return published.licence


def _rejected(given: Sequence[Given]) -> str:
    parts = []
    for part in given:
        rejected = part.value.rejected
        counts = Counter(reason.partition(":")[0].strip() for reason in rejected.values())
        kinds = ", ".join(
            f"{markdown.text(kind)} {number}" for kind, number in counts.most_common()
        )
        rows = [(markdown.text(clip), markdown.text(reason)) for clip, reason in rejected.items()]
        parts.append(
            f"{markdown.text(part.name)}: {len(rejected)} clips{f' ({kinds})' if kinds else ''}."
        )
        if rows:
            parts.append(markdown.table(("clip", "reason"), rows[:MAX_REJECTED]))
        if len(rows) > MAX_REJECTED:
            parts.append(f"{len(rows) - MAX_REJECTED} more are in `{REJECTED}`.")
    return "\n\n".join(parts)
