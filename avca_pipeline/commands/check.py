"""Command ``check``: finds errors before the first hour of work that would stop a run later.

It writes nothing. The workflow runs it before its first job.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts import features, records
from avca_pipeline.config import Config, check_inputs, check_shared_spaces
from avca_pipeline.fetching.pinned import verify
from avca_pipeline.fetching.weights import KIND, is_local
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.requests import Requests


def run(config: Config, digests: Digests | None = None) -> None:
    """Checks inputs, the checksums of local weights, and the features that are already there.

    Features that are as their record says are not read again.

    Args:
        config: the config.
        digests: of files; without them, those that the last run has remembered.

    Raises:
        PipelineError: the first thing that would fail later.
    """
    check_inputs(config)
    for name in config.used_backbones():
        if name in config.backbones:
            settings: Any = config.backbones[name].settings
            if settings.sha256 and is_local(settings.weights):
                verify(Path(settings.weights).expanduser(), settings.sha256, KIND)
            settings.look_up(Path(config.cache))
    for name in config.used_names("text_embeddings"):
        config.text_embeddings[name].settings.look_up(Path(config.cache))
    check_shared_spaces(config)
    results = Path(config.results)
    known = digests or Digests(results / records.FOLDER / "digests.json")
    for dataset, name in config.used_features():
        folder = results / dataset / "features"
        for path in [*sorted((folder / name).glob("*.h5")), folder / f"{name}.h5"]:
            if path.exists() and not _is_as_recorded(results, path, known):
                features.check(path)


def run_applied(config: Config, versions: Mapping[str, int]) -> None:
    """Checks the bundles and class names under ``apply``.

    Args:
        config: the config.
        versions: of the stages.

    Raises:
        PipelineError: the first thing that would fail later.
    """
    if not config.apply:
        return
    # It needs torch, for which other configs need not wait.
    from avca_pipeline.inference import check_applied

    requests = Requests(config, versions)
    for name, entry in config.apply.items():
        check_applied.check(requests.apply(entry.dataset, name), Path(config.cache))


def _is_as_recorded(results: Path, path: Path, digests: Digests) -> bool:
    """Returns whether a result is what its record says."""
    record = records.read(results, path)
    try:
        return record is not None and record.digest == digests.of(path)
    except OSError:
        return False
