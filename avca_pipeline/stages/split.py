"""Stage ``split``: puts every clip into one of five partitions and proves that nothing leaks."""

from __future__ import annotations

from pathlib import Path

from avca_pipeline.artifacts import manifest, split
from avca_pipeline.config import BuiltSplit, checked
from avca_pipeline.errors import PipelineError
from avca_pipeline.progress import say
from avca_pipeline.splits.audit import audit
from avca_pipeline.splits.build import build


def run(settings: dict, clips: Path, out: Path, audit_out: Path) -> None:
    """Writes the split of a manifest and its audit.

    Args:
        settings: of the split.
        clips: the manifest.
        out: the table.
        audit_out: the audit, written even if it fails.

    Raises:
        PipelineError: the split cannot be built, or a check of the audit fails.
    """
    listed = manifest.read(clips)
    built = build(listed, checked(BuiltSplit, settings, "splits"))
    result = audit(listed, built.clips, built.excluded)
    split.write_audit(audit_out, result)
    failed = [check for check in result["checks"] if not check["passed"]]
    for check in failed:
        say(f"{check['name']}: {check['found']} violations, such as {', '.join(check['examples'])}")
    if failed:
        raise PipelineError(
            f"split {out.stem!r} leaks: {len(failed)} check(s) failed, the first is "
            f"{failed[0]['name']} ({failed[0]['means']})"
        )
    split.write(out, built.clips)
    counts = ", ".join(f"{name} {count['clips']}" for name, count in result["counts"].items())
    say(f"split: {counts}, excluded {len(built.excluded)}")
