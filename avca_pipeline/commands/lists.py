"""Command ``lists``: downloads a benchmark's published lists and label embeddings, and checks them.

It is not part of the workflow: lists are obtained once, and the config says where they are.
"""

from __future__ import annotations

import logging
from pathlib import Path

from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import pinned
from avca_pipeline.published.checksums import known_checksums
from avca_pipeline.settings import nearest

logger = logging.getLogger(__name__)

COMMIT = "2711aeb5d7257ece4c5464fa46d7849a4edf6470"
ADDRESS = f"https://raw.githubusercontent.com/ExplainableML/AVCA-GZSL/{COMMIT}"


def run(
    benchmark: str,
    out: Path,
    address: str = ADDRESS,
    checksums: dict[str, dict[str, str | None]] | None = None,
) -> None:
    """Writes the lists of one benchmark below a folder, as a checkout of the repository has them.

    What is there and right is left alone, so that the same command goes on where it broke off. A
    file whose checksum is not known is pinned on first use, in ``<file>.sha256``.

    Args:
        benchmark: ``UCF``, ``ActivityNet`` or ``VGGSound``.
        out: the folder.
        address: of the repository at its pinned commit, or of a mirror.
        checksums: what `known_checksums` returns.

    Raises:
        PipelineError: no such benchmark, a failed download, or a file with another checksum.
    """
    checksums = known_checksums() if checksums is None else checksums
    if benchmark not in checksums:
        raise PipelineError(f"no benchmark {benchmark!r}; {nearest(benchmark, checksums)}")
    files = [
        pinned.obtain(
            f"{address}/{name}",
            out / name,
            sha256 or "",
            kind="list",
            remedy="not the pinned file",
            replaces_wrong=True,
        )
        for name, sha256 in checksums[benchmark].items()
    ]
    num_pinned = sum(file.is_first_use for file in files)
    logger.info(f"lists: {benchmark}: {len(files)} files in {out}, {num_pinned} pinned now")
