"""Stage ``report``: one table and one page about everything that was run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts import features as features_files
from avca_pipeline.artifacts import fetched as fetched_tables
from avca_pipeline.artifacts import manifest, split
from avca_pipeline.artifacts import scores as scores_files
from avca_pipeline.artifacts.atomic import atomic_write, write_csv
from avca_pipeline.published.scores import published
from avca_pipeline.reporting.coverage import Coverage, Extracted
from avca_pipeline.reporting.evidence import thin_evidence
from avca_pipeline.reporting.figures import Plot, embedding_plot, validation_plot
from avca_pipeline.reporting.page import Audit, Figures, render
from avca_pipeline.reporting.tables import Row, csv_columns, csv_row, rows_of, scored_run
from avca_pipeline.runtime.progress import Progress

logger = logging.getLogger(__name__)

AUDIT_SUFFIX = ".audit.json"
STAGE_1 = "stage1"


def run(
    scores: Sequence[Path],
    embeddings: Sequence[Path],
    histories: Sequence[Path],
    audits: Sequence[Path],
    manifests: Sequence[Path],
    fetched: Sequence[Path],
    features: Sequence[Path],
    out: Path,
    table_out: Path,
    *,
    data_audits: Sequence[Path] = (),
) -> None:
    """Writes the page and the table. The same files give the same bytes.

    Args:
        scores: one of each run.
        embeddings: beside the scores.
        histories: ``stage1/<candidate>/…`` beside the scores; those of stage 2 say nothing about
            generalisation, because it trains on the validation clips too, and are left out.
        audits: ``<dataset>/splits/<split>.audit.json``.
        manifests: ``<dataset>/manifest.csv``.
        fetched: ``<dataset>/fetched/<shard>.csv``.
        features: ``<dataset>/features/<backbone>.h5``, or all of its shards.
        out: the page.
        table_out: the result table as CSV.
        data_audits: ``<dataset>/audits/<split>.json``, shown with the audits of the same splits.

    Raises:
        PipelineError: a file is damaged, or scores of one row do not belong together.
    """
    of_data = {(path.parents[1].name, path.stem): split.read_audit(path) for path in data_audits}
    audited = [
        Audit(dataset, name, split.read_audit(path), of_data.get((dataset, name)))
        for path in sorted(audits)
        for dataset, name in [(path.parents[1].name, path.name.removesuffix(AUDIT_SUFFIX))]
    ]
    splits = {f"{one.dataset}/{one.split}": one.content.get("split", {}) for one in audited}
    rows = [
        replace(row, published=_published(row, splits.get("/".join(row.identity[:2]), {})))
        for row in rows_of(scored_run(path, scores_files.read(path)) for path in scores)
    ]
    coverage = _coverage(manifests, fetched, features)
    with Progress("report", len(rows), "figures") as progress:
        figures = []
        for index, row in enumerate(rows):
            figures.append(_figures(row, f"row{index}", embeddings, histories))
            progress.advance(note=row.title)
    page = render(rows, figures, audited, coverage)
    with atomic_write(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    write_csv(table_out, csv_columns(), map(csv_row, rows))
    for row in rows:
        logger.info(f"report: {row.title}: {_in_words(row)}")
        for words in thin_evidence(row):
            logger.warning(f"report: {row.title}: little evidence behind {words}")
    logger.info(f"report: open {out}; the table is {table_out} too")


def _published(row: Row, split_made: Mapping[str, Any]) -> dict[str, float]:
    return published(split_made, row.names["feature_set"], row.names["model"], row.method)


def _in_words(row: Row) -> str:
    cell = dict(zip(csv_columns(), map(str, csv_row(row)), strict=True))
    return "  ".join(
        f"{title} {float(cell[f'{name}_mean_percent']):.1f} "
        f"(chance {float(cell[f'{name}_chance_percent']):.1f})"
        for title, name in (("S", "seen"), ("U", "unseen"), ("HM", "hm"), ("ZSL", "zsl"))
    )


def _figures(row: Row, name: str, embeddings: Sequence[Path], histories: Sequence[Path]) -> Figures:
    first = row.runs[0]
    beside = [path for path in embeddings if path.parent == first.folder]
    of_seeds = {
        one.seed: [
            scores_files.read(path)
            for path in sorted(histories)
            if one.folder / STAGE_1 in path.parents
        ]
        for one in row.runs
    }
    chosen = {one.seed: one.content["selection"]["candidate"] for one in row.runs}
    return Figures(
        embeddings=embedding_plot(
            scores_files.read_embeddings(beside[0]),
            f"{name}-embeddings",
            f"t-SNE of test clips and class embeddings: {row.title}, seed {first.seed}",
        )
        if beside
        else Plot(note="The embeddings of this run are not at hand."),
        validation=validation_plot(
            of_seeds, chosen, f"{name}-validation", f"Validation HM after each epoch: {row.title}"
        ),
    )


def _coverage(
    manifests: Sequence[Path], fetched: Sequence[Path], features: Sequence[Path]
) -> list[Coverage]:
    """Returns what is known of each dataset's clips; one file of features is held at a time."""
    found = {
        path.parent.name: Coverage(path.parent.name, manifest.read(path))
        for path in sorted(manifests)
    }
    for path in sorted(fetched):
        dataset = path.parents[1].name
        one = found.setdefault(dataset, Coverage(dataset))
        one.fetched += fetched_tables.read(path)
    for path in sorted(features):
        dataset = features_files.dataset_of(path)
        one = found.setdefault(dataset, Coverage(dataset))
        extracted = one.extracted.setdefault(features_files.backbone_of(path), Extracted())
        shard = features_files.read(path)
        extracted.clip_ids += shard.clip_ids
        extracted.rejected += shard.rejected.items()
        extracted.num_padded += int(shard.is_padded.sum())
        extracted.is_imported = shard.attributes.get("backbone") == features_files.IMPORTED
    return [found[name] for name in sorted(found)]
