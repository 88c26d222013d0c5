"""Stage ``split``: puts every clip into one of five partitions and proves that nothing leaks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from avca_pipeline import registry
from avca_pipeline.artifacts import audits, manifest, split
from avca_pipeline.artifacts.audits import SplitMethod
from avca_pipeline.artifacts.stored_rows import class_names
from avca_pipeline.config import validated
from avca_pipeline.errors import PipelineError
from avca_pipeline.leakage.checks import stop_on_errors
from avca_pipeline.leakage.pretraining import pretrained_on
from avca_pipeline.leakage.split_checks import SplitUnderAudit, audit_split
from avca_pipeline.requests import PluginUse, SplitRequest

logger = logging.getLogger(__name__)


def run(request: SplitRequest, clips: Path, out: Path, audit_out: Path) -> None:
    """Writes the split of a manifest and its audit.

    Args:
        request: the split, and the backbones that may have been trained on its classes.
        clips: the manifest.
        out: the table.
        audit_out: the audit, written even if it fails.

    Raises:
        PipelineError: the split cannot be built, or a check of the audit fails that must not.
    """
    module = registry.load("splits", request.plugin)
    typed = validated(module.Settings, request.settings, f"splits ({request.plugin})")
    listed = manifest.opened(clips)
    classes_of, unknown = _pretraining(request.backbones)
    forbidden = typed.backbones_to_exclude()
    for name in forbidden:
        if name in unknown:
            raise PipelineError(
                f"exclude_pretraining_of: {name!r} does not say which classes its weights were "
                "trained on; leave it out, or use weights that are known"
            )
    overlaps = pretrained_on(class_names(listed), classes_of, typed.aliases)
    must_be_seen = [
        name for name, backbones in overlaps.items() if not set(backbones).isdisjoint(forbidden)
    ]
    built = module.build(typed, listed, must_be_seen)
    result = replace(
        audit_split(SplitUnderAudit(listed, built, overlaps), typed.audit.by_check()),
        split=SplitMethod(request.plugin, typed.model_dump(mode="json")),
        unknown_pretraining=unknown,
    )
    audits.write_split_audit(audit_out, result)
    stop_on_errors(request.split, result.checks)
    split.write(out, built.clips)
    counts = ", ".join(f"{name} {count.clips}" for name, count in result.counts.items())
    logger.info(f"split: {counts}, excluded {len(built.excluded)}")


def _pretraining(
    backbones: Mapping[str, PluginUse | None],
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Returns backbone to the classes it was trained on with labels, and the unknown backbones.

    Backbones with random weights are not among ``backbones``: they were trained on nothing.
    """
    classes_of, unknown = {}, []
    for name, backbone in sorted(backbones.items()):
        classes = None
        if backbone is not None:
            module = registry.load("backbones", backbone.plugin)
            settings = validated(module.Settings, backbone.settings, f"backbones.{name}")
            classes = module.pretraining_classes(settings)
        if classes is None:
            unknown.append(name)
        else:
            classes_of[name] = tuple(classes)
    return classes_of, unknown
