"""Stage ``report``: one table and one page about everything that was run."""

from __future__ import annotations

import logging
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avca_pipeline.analysis.answers import Answers
from avca_pipeline.analysis.answers import read as read_answers
from avca_pipeline.artifacts import answers, manifest, spreadsheets
from avca_pipeline.artifacts import features as features_files
from avca_pipeline.artifacts import fetched as fetched_tables
from avca_pipeline.artifacts import scores as scores_files
from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.artifacts.audits import SplitMethod, read_data_audit, read_split_audit
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.scores import Scores
from avca_pipeline.artifacts.training import read_history
from avca_pipeline.errors import FormatError
from avca_pipeline.published.scores import PublishedScores, published
from avca_pipeline.reporting import answered, take_away
from avca_pipeline.reporting.comparisons import clearly_best, compared, intervals
from avca_pipeline.reporting.costs import origins_of
from avca_pipeline.reporting.coverage import Classified, Coverage, Extracted
from avca_pipeline.reporting.evidence import thin_evidence, without_language
from avca_pipeline.reporting.figures import embedding_plot, validation_plot
from avca_pipeline.reporting.loss_figure import loss_plot
from avca_pipeline.reporting.page import Audit, Figures, render
from avca_pipeline.reporting.tables import SCORES, TITLES, Row, csv_columns, csv_row, rows_of
from avca_pipeline.reporting.thumbnails import stretches
from avca_pipeline.requests import ReportRequest, grouped_files, named_files
from avca_pipeline.runtime.progress import Progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportFiles:
    """What the report reads, in the order in which the request has the names.

    Attributes:
        scores: of each run.
        embeddings: of each run.
        predictions: of each run.
        histories: of stage 1, of each candidate of each run. Those of stage 2 say nothing about
            generalisation, because it trains on the validation clips too, and are left out.
        audits: of each split of each dataset.
        data_audits: of the data of each split of each dataset.
        manifests: of each dataset.
        fetched: tables of all shards of each dataset.
        features: of each backbone of each dataset.
        applied: predictions of each entry under ``apply`` of each dataset.
    """

    scores: Sequence[Path]
    embeddings: Sequence[Path]
    predictions: Sequence[Path]
    histories: Sequence[Path]
    audits: Sequence[Path]
    data_audits: Sequence[Path]
    manifests: Sequence[Path]
    fetched: Sequence[Path]
    features: Sequence[Path]
    applied: Sequence[Path] = ()


@dataclass(frozen=True)
class FilesOfRun:
    """The embeddings of a run, and the histories of its candidates."""

    embeddings: Path
    histories: Sequence[Path]


def run(
    request: ReportRequest,
    files: ReportFiles,
    out: Path,
    table_out: Path,
    files_out: Path | None = None,
    results: Path | None = None,
) -> None:
    """Writes the page, the table, and what people take away. The same files give the same bytes.

    Args:
        request: the names of all runs and datasets.
        files: to read.
        out: the page.
        table_out: the result table as CSV.
        files_out: folder for the table in other formats, BibTeX and the figures; if left out, they
            are in the page alone.
        results: the folder of all results, in which records say what they took; ``None`` where
            there is none.

    Raises:
        PipelineError: a file is damaged, or scores of one row do not belong together.
    """
    audits = _audits(request, files)
    method_of_split = {(audit.dataset, audit.split): audit.content.split for audit in audits}
    rows = [
        replace(row, published=_published(row, method_of_split))
        for row in rows_of(_scores(request, files.scores))
    ]
    coverage = _coverage(request, files)
    files_of_run = _files_of_runs(request, files)
    with Progress("report", len(rows), "figures") as progress:
        figures = []
        for row in rows:
            figures.append(_figures(row, len(rows), files_of_run))
            progress.advance(note=row.title)
    answers = _answers(rows, request, files)
    groups = compared(rows, answers)
    best = {score: clearly_best(groups, score) for score in SCORES}
    rows = [
        replace(row, best=frozenset(score for score in SCORES if row.identity in best[score]))
        for row in rows
    ]
    media = stretches(coverage) if request.thumbnails else None
    of_answers = answered.sections(rows, groups, answers, media)
    datasets = {
        part.dataset: (part.plugin, part.benchmark) for part in reversed(request.all_datasets)
    }
    documents = take_away.documents(rows, datasets)
    origins = None if results is None else origins_of(results, request, rows)
    page = render(
        rows,
        figures,
        audits,
        coverage,
        intervals(groups),
        origins,
        documents=documents,
        **of_answers,
    )
    with atomic_write(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    spreadsheets.write(table_out, csv_columns(), map(csv_row, rows))
    if files_out is not None:
        take_away.write(files_out, documents, page)
    for row in rows:
        logger.info(f"report: {row.title}: {_scores_in_words(row)}")
        for remark in thin_evidence(row):
            logger.warning(f"report: {row.title}: little evidence behind {remark}")
        for remark in without_language(row):
            logger.warning(f"report: {row.title}: {remark}")
    logger.info(f"report: open {out}; the table is {table_out} too")


def _scores(request: ReportRequest, paths: Sequence[Path]) -> list[Scores]:
    """Reads the scores of all runs.

    Raises:
        FormatError: a file is damaged, or has the scores of another run.
    """
    scores_of_runs = []
    for reported, path in named_files("scores", request.all_runs, paths):
        scores = scores_files.read(path)
        if scores.run != reported.run:
            raise FormatError(
                f"{path}: has the scores of {scores.run.path}, not of {reported.run.path}; "
                "delete the file and evaluate again"
            )
        scores_of_runs.append(scores)
    return scores_of_runs


def _answers(rows: Sequence[Row], request: ReportRequest, files: ReportFiles) -> dict[Run, Answers]:
    """Reads the predictions of all runs.

    Raises:
        FormatError: a file is damaged, or has other classes than the scores.
    """
    paths = {
        reported.run: path
        for reported, path in named_files("predictions", request.all_runs, files.predictions)
    }
    return {run.run: read_answers(paths[run.run], run) for row in rows for run in row.runs}


def _audits(request: ReportRequest, files: ReportFiles) -> list[Audit]:
    """Reads the audits of all splits, in the order of their names."""
    names = [(part.dataset, split) for part in request.all_datasets for split in part.splits]
    # The config and another one may have the same split.
    audits = dict(named_files("audits", names, files.audits))
    data_audits = dict(named_files("data-audits", names, files.data_audits))
    return [
        Audit(*name, read_split_audit(path), read_data_audit(data_audits[name]))
        for name, path in sorted(audits.items())
    ]


def _files_of_runs(request: ReportRequest, files: ReportFiles) -> dict[Run, FilesOfRun]:
    sizes = [len(reported.candidates) for reported in request.all_runs]
    histories = grouped_files("histories", sizes, files.histories)
    return {
        reported.run: FilesOfRun(embeddings, own_histories)
        for (reported, embeddings), own_histories in zip(
            named_files("embeddings", request.all_runs, files.embeddings), histories, strict=True
        )
    }


def _published(
    row: Row, method_of_split: Mapping[tuple[str, str], SplitMethod | None]
) -> PublishedScores | None:
    method = method_of_split.get((row.names["dataset"], row.names["split"]))
    return published(method, [scores.provenance for scores in row.runs])


def _scores_in_words(row: Row) -> str:
    cell = dict(zip(csv_columns(), map(str, csv_row(row)), strict=True))
    return "  ".join(
        f"{title} {float(cell[f'{name}_mean_percent']):.1f} "
        f"(chance {float(cell[f'{name}_chance_percent']):.1f})"
        for name, title in TITLES.items()
    )


def _figures(row: Row, num_rows: int, files_of_run: Mapping[Run, FilesOfRun]) -> Figures:
    first = row.runs[0].run
    histories = {
        scores.run.seed: [read_history(path) for path in sorted(files_of_run[scores.run].histories)]
        for scores in row.runs
    }
    chosen = {scores.run.seed: scores.selection.candidate for scores in row.runs}
    return Figures(
        embeddings=embedding_plot(
            scores_files.read_embeddings(files_of_run[first].embeddings),
            f"t-SNE of test clips and class embeddings: {row.title}, seed {first.seed}",
            num_rows,
        ),
        validation=validation_plot(
            histories, chosen, f"Validation HM after each epoch: {row.title}"
        ),
        losses=loss_plot(histories, chosen, row.title),
    )


def _coverage(request: ReportRequest, files: ReportFiles) -> list[Coverage]:
    """Returns what became of each dataset's clips; one file of features is in memory at a time."""
    datasets = request.all_datasets
    num_tables = [dataset.num_shards for dataset in datasets]
    num_features = [len(dataset.features) for dataset in datasets]
    tables = grouped_files("fetched", num_tables, files.fetched)
    features = grouped_files("features", num_features, files.features)
    manifests = named_files("manifests", datasets, files.manifests)
    applied = grouped_files("applied", [len(part.applied) for part in datasets], files.applied)
    coverage: dict[str, Coverage] = {}
    for (part, path), own_tables, own_features, own_applied in zip(
        manifests, tables, features, applied, strict=True
    ):
        # The config and another one may have the same dataset.
        if part.dataset not in coverage:
            coverage[part.dataset] = Coverage(part.dataset, manifest.read(path))
        own = coverage[part.dataset]
        if not own.fetched:
            own.fetched = [row for table in own_tables for row in fetched_tables.read(table)]
        for name, file in zip(part.features, own_features, strict=True):
            if name not in own.extracted:
                own.extracted[name] = _extracted(file)
        for name, file in zip(part.applied, own_applied, strict=True):
            own.applied[name] = _classified(file)
    return sorted(coverage.values(), key=operator.attrgetter("dataset"))


def _classified(path: Path) -> Classified:
    classified = Classified()
    for answer in answers.read(path):
        if answer.reason:
            classified.rejected.append((answer.clip_id, answer.reason))
        else:
            classified.clip_ids.append(answer.clip_id)
    return classified


def _extracted(path: Path) -> Extracted:
    features = features_files.read(path)
    return Extracted(
        clip_ids=list(features.clip_ids),
        rejected=list(features.rejected.items()),
        num_padded=int(features.is_padded.sum()),
        is_imported=features.attributes.get("backbone") == features_files.IMPORTED,
    )
