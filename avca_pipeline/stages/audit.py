"""Stage ``audit``: proves that what training will read does not leak, and says what is missing."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avca_pipeline import registry
from avca_pipeline.artifacts import features as features_files
from avca_pipeline.artifacts import fetched as fetched_tables
from avca_pipeline.artifacts import labels as labels_files
from avca_pipeline.artifacts import split
from avca_pipeline.config import checked
from avca_pipeline.leakage.checks import stop_on_errors
from avca_pipeline.leakage.data_checks import SplitData, audit_data
from avca_pipeline.leakage.feature_digests import digest_features

logger = logging.getLogger(__name__)


def run(
    settings: dict[str, Any],
    rows: Path,
    fetched: Sequence[Path],
    features: Sequence[Path],
    labels: Sequence[Path],
    out: Path,
) -> None:
    """Writes the audit of a split's data.

    Args:
        settings: plugin of the split, its settings, and how many clips may be missing.
        rows: the split.
        fetched: tables of all shards; none where all features are imported.
        features: ``features/<backbone>.h5``, or ``features/<backbone>/<shard>.h5`` of all shards.
        labels: ``labels/<text embedding>.h5`` of all text embeddings.
        out: the audit, written even if it fails; the log has what failed.

    Raises:
        PipelineError: a check fails that must not.
    """
    module = registry.load("splits", settings["plugin"])
    typed = checked(module.Settings, settings["settings"], f"splits ({settings['plugin']})")
    shards: dict[str, list[Path]] = defaultdict(list)
    for path in features:
        shards[features_files.backbone_of(path)].append(path)
    data = SplitData(
        rows=split.read(rows),
        fetched=[row for path in fetched for row in fetched_tables.read(path)],
        digests={
            backbone: digest_features(sorted(paths)) for backbone, paths in sorted(shards.items())
        },
        labels={path.stem: labels_files.read(path) for path in labels},
        like_features=typed.like_features,
        max_missing=settings["max_missing"],
    )
    result = audit_data(data, typed.audit.by_check())
    split.write_audit(out, result)
    for name, part in result["coverage"]["partitions"].items():
        logger.info(f"audit: {name}: {part['usable']} of {part['clips']} clips usable")
    stop_on_errors(rows.stem, result["checks"])
