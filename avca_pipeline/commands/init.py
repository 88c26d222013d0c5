"""Command ``init``: writes a config for a user's clips.

It counts clips and classes, looks into some of the files, chooses a seed with which the clips can
be split, and writes backbones whose weights need no search. What it writes has passed the checks
of ``avca check``; otherwise nothing is written.
"""

from __future__ import annotations

import json
import logging
import os
import re
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from avca_pipeline import registry
from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.run import BOTH
from avca_pipeline.commands import first_config, first_look
from avca_pipeline.commands.first_config import Found, Weights
from avca_pipeline.config import check_inputs, parse, validated
from avca_pipeline.errors import PipelineError, one_line
from avca_pipeline.planning import plan
from avca_pipeline.planning.listing import all_clips
from avca_pipeline.runtime.paths import expanded, shipped
from avca_pipeline.splits import built

logger = logging.getLogger(__name__)

MIN_CLASSES = 4
NUM_SEEDS = 50
TIMEOUT_S = 5.0


def run(
    kind: str,
    path: Path | None,
    out: Path,
    *,
    weights: Weights | None = None,
    features_only: bool = False,
    force: bool = False,
) -> None:
    """Writes the config.

    Args:
        kind: plugin of the dataset.
        path: the clips or their annotations; for the demo the folder of its results.
        out: the config.
        weights: of the backbones; ``None`` for published ones if their sites can be reached.
        features_only: whether the config only asks for features.
        force: whether a config that is there already is replaced.

    Raises:
        PipelineError: there is a config already, there are no clips or too few, or the config
            cannot be written.
    """
    if os.path.lexists(out) and not force:
        raise PipelineError(
            f"{out}: is there already; name another file with --out, or replace it with --force"
        )
    if kind == "demo":
        text = _demo(path)
    elif path is None:
        raise PipelineError(f"PATH is missing: name what has the clips: avca init {kind} PATH")
    else:
        text = _for_clips(kind, expanded(path).resolve(), weights, features_only)
    config = parse(yaml.safe_load(text))
    check_inputs(config)
    if kind != "demo":
        text = first_config.with_plan(text, plan.lines(config, plan.this_device()))
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    target = " features" if features_only else ""
    logger.info(f"{out}: written; look through it, then: avca run {out}{target}")


def _demo(results: Path | None) -> str:
    """Returns the config of the demo."""
    text = shipped("config.yaml").read_text(encoding="utf-8")
    # The line for editors names the schema by its place in the repository.
    text = text.partition("\n")[2]
    folder = json.dumps(os.path.normpath(results)) if results else "results"
    return re.sub(r"^results: \S+", lambda _: f"results: {folder}", text, flags=re.MULTILINE)


def _for_clips(kind: str, path: Path, weights: Weights | None, features_only: bool) -> str:
    """Returns the config for the clips of a user.

    Raises:
        PipelineError: there are no clips, or none can be used, or they cannot be split.
    """
    keys = _keys(kind, path)
    module = registry.load("datasets", kind)
    settings = validated(module.Settings, keys, f"datasets ({kind})")
    module.inputs(settings)
    clips = all_clips(kind, module, settings)
    for line in module.remarks(settings):
        logger.info(one_line(line))
    look = first_look.at(module, settings, clips, path.is_dir() or kind == "table")
    for line in look.remarks:
        logger.info(line)
    if look.modalities != BOTH:
        logger.info(f"so the config uses {look.modalities} alone")
    seed = None if features_only else _seed(clips, look.unusable)
    found = Found(
        kind=kind,
        keys=keys,
        num_clips=len(clips),
        num_classes=len({clip.class_name for clip in clips}),
        modalities=look.modalities,
        seed=seed,
        weights=weights or _weights(),
    )
    logger.info(f"{found.num_clips} clips in {found.num_classes} class(es)")
    return first_config.text(found)


def _keys(kind: str, path: Path) -> dict[str, Any]:
    """Returns the settings of a dataset that say where its clips are.

    Raises:
        PipelineError: there is nothing, or no such list in the folder.
    """
    if not path.exists():
        raise PipelineError(f"PATH: {path}: no such file or folder; correct it")
    if kind == "folder" and not path.is_dir():
        raise PipelineError(f"PATH: {path}: no folder; name the folder with the class folders")
    if kind == "table" and path.is_dir():
        raise PipelineError(f"PATH: {path}: a folder; name the CSV file in it")
    if kind == "vggsound":
        table = _list_in(path, "vggsound.csv", "*.csv")
        return {"csv": str(table), "media": [str(table.parent)]}
    if kind == "activitynet":
        table = _list_in(path, "activity_net.v1-3.min.json", "*.json")
        return {"annotations": str(table), "media": [str(table.parent)]}
    return {"path": str(path)}


def _list_in(path: Path, name: str, pattern: str) -> Path:
    """Returns the file with the list of clips: the path itself, or a file in that folder."""
    if path.is_file():
        return path
    found = [path / name] if (path / name).is_file() else sorted(path.glob(pattern))
    if len(found) != 1:
        raise PipelineError(f"PATH: {path}: has no {name}; put it beside the videos, or name it")
    return found[0]


def _seed(clips: Sequence[Clip], unusable: Mapping[str, str]) -> int:
    """Returns the first seed with which the clips can be split.

    Args:
        clips: all clips.
        unusable: each class none of whose clips can be used, to the reasons.

    Raises:
        PipelineError: there is none; the message says what is missing.
    """
    instead = "; or write a config that only extracts features: --features"
    num_classes = len({clip.class_name for clip in clips} - set(unusable))
    if num_classes < MIN_CLASSES:
        with_clips = " with a usable clip" if unusable else ""
        raise PipelineError(
            f"found {num_classes} class(es){with_clips}, and {MIN_CLASSES} are the least that can "
            "be split: two to train on, one unseen in validation and one unseen in the test; add "
            f"classes{instead}"
        )
    for seed in range(NUM_SEEDS):
        try:
            made = built.build(built.Settings(seed=seed, **first_config.SHARES), clips)
        except PipelineError as error:
            cause = str(error)
            continue
        if not (empty := first_look.empty_partition(made.clips, unusable)):
            return seed
        cause = f"no usable clip would be in partition {empty}; repair or remove the classes above"
    raise PipelineError(f"{cause.removesuffix(', or choose another seed')}{instead}")


def _weights() -> Weights:
    """Returns ``published`` if the sites of the published weights can be reached."""
    for address in first_config.SITES:
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_S):
                pass
        except OSError:  # no network, or a name, a proxy or a certificate that is refused
            logger.warning(
                f"{address} cannot be reached, so the backbones get random weights, which only "
                "show that all works; write weights: published in the config where it can"
            )
            return "random"
    return "published"
