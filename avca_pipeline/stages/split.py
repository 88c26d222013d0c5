"""Stage ``split``: puts every clip into one of five partitions and proves that nothing leaks."""

from __future__ import annotations

from pathlib import Path

from avca_pipeline import registry
from avca_pipeline.artifacts import manifest, split
from avca_pipeline.auditing import audit
from avca_pipeline.config import checked
from avca_pipeline.errors import PipelineError
from avca_pipeline.progress import say


def run(plugin: str, settings: dict, clips: Path, out: Path, audit_out: Path) -> None:
    """Writes the split of a manifest and its audit.

    Args:
        plugin: of the split.
        settings: of the plugin.
        clips: the manifest.
        out: the table.
        audit_out: the audit, written even if it fails.

    Raises:
        PipelineError: the split cannot be built, or a check of the audit fails that must not.
    """
    module = registry.load("splits", plugin)
    typed = checked(module.Settings, settings, f"splits ({plugin})")
    listed = manifest.read(clips)
    built = module.build(listed, typed)
    result = {
        "split": {"plugin": plugin, "settings": typed.model_dump(mode="json")},
        **audit(listed, built, typed.audit),
    }
    split.write_audit(audit_out, result)
    failed = [check for check in result["checks"] if not check["passed"]]
    for check in failed:
        examples = ", ".join(check["examples"])
        say(f"{check['level']}: {check['name']}: {check['found']} violations, such as {examples}")
    errors = [check for check in failed if check["level"] == "error"]
    if errors:
        raise PipelineError(
            f"split {out.stem!r} leaks: {len(errors)} check(s) failed, the first is "
            f"{errors[0]['name']} ({errors[0]['means']})"
        )
    split.write(out, built.clips)
    counts = ", ".join(f"{name} {count['clips']}" for name, count in result["counts"].items())
    say(f"split: {counts}, excluded {len(built.excluded)}")
