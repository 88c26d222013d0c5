"""Command ``predict``: which classes videos belong to."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from avca_pipeline.artifacts import class_lists
from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.errors import PipelineError
from avca_pipeline.inference.classifier import TrainedRun
from avca_pipeline.inference.predictions import Predictions
from avca_pipeline.published.class_names import class_key
from avca_pipeline.runtime.paths import expanded

logger = logging.getLogger(__name__)

SUFFIXES = (".csv", ".json")
OF_NAMES = (".txt", ".lst", ".csv", ".md", ".tsv")
"""Suffixes of files that have class names in them."""


def run(
    trained: TrainedRun,
    videos: Sequence[str],
    *,
    classes: str | None,
    top: int,
    timeline: bool,
    leave_out_seen: bool,
    out: Path | None,
) -> None:
    """Prints or writes the rankings of videos.

    Args:
        trained: what classifies.
        videos: paths, also with a stretch behind them.
        classes: names with commas between them, or a file with one a line; ``None`` for those of
            the run.
        top: how many classes a ranking has.
        timeline: rank for each stretch of a video instead of the whole.
        leave_out_seen: leave out the classes that the network was trained on.
        out: a ``.csv`` or ``.json`` file to write; ``None`` to print.

    Raises:
        PipelineError: see `TrainedRun.predict`; or the names or the file cannot be used; or, once
            the reasons are printed or written, no video can be used.
    """
    if out is not None:
        out = expanded(out).absolute()
        _check_target(out)
    names = None if classes is None else class_names(classes, trained.class_names)
    made = trained.predict(
        list(videos), classes=names, top=top, timeline=timeline, leave_out_seen=leave_out_seen
    )
    if out is None:
        print(repr(made))
    else:
        _write(made, out)
    used = {prediction.video for prediction in made if not prediction.reason}
    if not used:
        where = f"in {out}" if out else "above"
        raise PipelineError(
            f"no video can be used (of {len(set(videos))}); the reasons are {where}"
        )
    if out is not None:
        logger.info(f"predict: {len(used)} of {len(set(videos))} videos have a ranking, in {out}")


def class_names(written: str, own: Sequence[str]) -> list[str]:
    """Returns class names that are named on the command line or in a file.

    Args:
        written: names with commas between them, one class of the run that has commas in its name,
            or a file.
        own: classes of the run.

    Raises:
        FormatError: the file is missing, or cannot be read as text.
    """
    if class_key(written) in {class_key(name) for name in own}:
        return [written]
    path = expanded(written)
    if not _is_file(written, path):
        return [name.strip() for name in written.split(",")]
    return class_lists.read(path, "--classes")


def _is_file(written: str, path: Path) -> bool:
    """Returns whether a file is meant; a wrong one is a mistake, and no name of a class."""
    if written in (".", "..") or written.startswith(("/", "~", "./", "../")):
        return True
    if path.suffix.lower() in OF_NAMES or ("/" in written and "," not in written):
        return True
    try:
        return path.is_file()
    except OSError:  # such as a text that is too long for a path
        return False


def _check_target(out: Path) -> None:
    """Raises `PipelineError` where a file cannot be written, before hours of work."""
    if out.suffix not in SUFFIXES:
        raise PipelineError(f"--out: {out}: expected a name that ends with .csv or .json")
    try:
        if out.is_dir():
            raise PipelineError(f"--out: {out}: is a folder; name a file")
        folder = next(folder for folder in out.parents if folder.exists())
    except OSError as error:
        raise PipelineError(f"--out: {out}: cannot be written ({error.strerror})") from error
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise PipelineError(f"--out: {out}: {folder} is no folder that you may write to")


def _write(made: Predictions, out: Path) -> None:
    text = (
        made.to_csv()
        if out.suffix == ".csv"
        else json.dumps(made.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
