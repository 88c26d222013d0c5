"""Command ``compare``: two folders of results side by side."""

from __future__ import annotations

import logging
from pathlib import Path

from avca_pipeline.artifacts import spreadsheets
from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.errors import PipelineError
from avca_pipeline.planning.found import out_of_date
from avca_pipeline.reporting import side_by_side_texts as texts
from avca_pipeline.reporting.side_by_side import read, side_by_side
from avca_pipeline.runtime.paths import expanded

logger = logging.getLogger(__name__)

SUFFIXES = (".html", ".md", ".csv")


def run(first: Path, second: Path, out: Path | None = None) -> None:
    """Prints two results side by side, or writes them.

    Args:
        first: a folder of results, or one within it.
        second: another one.
        out: file to write, as its suffix says; without it, the terminal shows them.

    Raises:
        PipelineError: a folder has no scores, or they do not belong together; or the file cannot
            be written.
    """
    if out is not None and out.suffix not in SUFFIXES:
        raise PipelineError(f"--out: {out}: expected a name that ends with .html, .md or .csv")
    both = side_by_side(read(expanded(first)), read(expanded(second)))
    for results in (both.first.path, both.second.path):
        if paths := out_of_date(results):
            logger.warning(
                f"compare: {results}: {len(paths)} runs are not complete, were made from what has "
                f"changed since, or have other settings than their row's first seed: {paths[0]}"
                f"{' and others' if len(paths) > 1 else ''}"
            )
    if not both.lines:
        logger.warning("compare: no row is in both results; rows have the same names in both")
    if out is None:
        print(texts.as_text(both))
        return
    out = expanded(out)
    if out.suffix == ".csv":
        spreadsheets.write(out, texts.COLUMNS, texts.csv_rows(both))
    else:
        text = texts.as_page(both) if out.suffix == ".html" else texts.as_markdown(both)
        with atomic_write(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    logger.info(f"compare: {len(both.lines)} rows of both in {out}")
