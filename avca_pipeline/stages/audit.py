"""Stage ``audit``: proves that what training will read does not leak, and says what is missing."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

from avca_pipeline import registry
from avca_pipeline.artifacts import audits, split
from avca_pipeline.artifacts import fetched as fetched_tables
from avca_pipeline.artifacts import labels as labels_files
from avca_pipeline.artifacts.atomic import scratch_folder
from avca_pipeline.config import validated
from avca_pipeline.leakage.checks import stop_on_errors
from avca_pipeline.leakage.data_checks import SplitData, audit_data
from avca_pipeline.leakage.feature_digests import digest_features
from avca_pipeline.requests import AuditRequest, named_files

logger = logging.getLogger(__name__)


def run(
    request: AuditRequest,
    rows: Path,
    fetched: Sequence[Path],
    features: Sequence[Path],
    labels: Sequence[Path],
    out: Path,
) -> None:
    """Writes the audit of a split's data.

    Args:
        request: the split, names of features, feature sets and text embeddings, and how many
            clips may be missing.
        rows: the split.
        fetched: tables of all shards; none where all features are imported.
        features: ``features/<backbone>.h5``, in the order of the request.
        labels: ``labels/<text embedding>.h5``, in the order of the request.
        out: the audit, written even if it fails; the log has what failed.

    Raises:
        PipelineError: a check fails that must not.
    """
    module = registry.load("splits", request.plugin)
    typed = validated(module.Settings, request.settings, f"splits ({request.plugin})")
    with scratch_folder(out) as folder:
        data = SplitData(
            rows=split.opened(rows),
            fetched=itertools.chain.from_iterable(map(fetched_tables.stream, fetched)),
            digests={
                name: digest_features([path], folder / str(number))
                for number, (name, path) in enumerate(
                    named_files("features", request.features, features)
                )
            },
            labels={
                name: labels_files.read(path)
                for name, path in named_files("labels", request.text_embeddings, labels)
            },
            like_features=typed.like_features,
            max_missing=request.max_missing,
            feature_sets=request.feature_sets,
        )
        result = audit_data(data, typed.audit.by_check())
    audits.write_data_audit(out, result)
    for name, clips in result.coverage.partitions.items():
        logger.info(f"audit: {name}: {clips.usable} of {clips.clips} clips usable")
    stop_on_errors(request.split, result.checks)
