"""Command ``predict``: which classes videos belong to."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.inference.classifier import TrainedRun

logger = logging.getLogger(__name__)

SUFFIXES = (".csv", ".json")


def run(
    trained: TrainedRun,
    videos: Sequence[str],
    *,
    classes: str | None,
    top: int,
    timeline: bool,
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
        out: a ``.csv`` or ``.json`` file to write; ``None`` to print.

    Raises:
        PipelineError: see `TrainedRun.predict`; or the names or the file cannot be used.
    """
    if out is not None and out.suffix not in SUFFIXES:
        raise PipelineError(f"--out: {out}: expected a name that ends with .csv or .json")
    names = None if classes is None else class_names(classes)
    made = trained.predict(list(videos), classes=names, top=top, timeline=timeline)
    if out is None:
        print(repr(made))
        return
    text = (
        made.to_csv()
        if out.suffix == ".csv"
        else json.dumps(made.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    used = {prediction.video for prediction in made if not prediction.reason}
    logger.info(f"predict: {len(used)} of {len(set(videos))} videos have a ranking, in {out}")


def class_names(written: str) -> list[str]:
    """Returns class names that are named on the command line or in a file.

    Raises:
        FormatError: the file cannot be read as text.
    """
    path = Path(written).expanduser()
    is_path = "," not in written and (path.suffix == ".txt" or path.is_file())
    if not is_path:
        return [name.strip() for name in written.split(",")]
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"--classes: {path}: cannot be read as UTF-8 text ({error})") from error
    return [line.strip() for line in lines if line.strip()]
