"""Command ``lists``: downloads a benchmark's published lists and label embeddings, and checks them.

It is not part of the workflow: lists are obtained once, and the config says where they are.
"""

from __future__ import annotations

import json
import logging
from importlib import resources
from pathlib import Path

from avca_pipeline import published
from avca_pipeline.artifacts.atomic import atomic_write, file_sha256
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.web_files import download
from avca_pipeline.runtime.addresses import shown
from avca_pipeline.settings import nearest

logger = logging.getLogger(__name__)

COMMIT = "2711aeb5d7257ece4c5464fa46d7849a4edf6470"
ADDRESS = f"https://raw.githubusercontent.com/ExplainableML/AVCA-GZSL/{COMMIT}"


def checksums() -> dict[str, dict[str, str | None]]:
    """Returns for each benchmark its files and their SHA-256, ``None`` where it is not known."""
    text = resources.files(published).joinpath("checksums.json").read_text(encoding="utf-8")
    known: dict[str, dict[str, str | None]] = json.loads(text)
    return known


def run(
    benchmark: str,
    out: Path,
    address: str = ADDRESS,
    known: dict[str, dict[str, str | None]] | None = None,
) -> None:
    """Writes the lists of one benchmark below a folder, as a checkout of the repository has them.

    What is there and right is left alone, so that the same command goes on where it broke off. A
    file whose checksum is not known is pinned on first use, in ``<file>.sha256``.

    Args:
        benchmark: ``UCF``, ``ActivityNet`` or ``VGGSound``.
        out: the folder.
        address: of the repository at its pinned commit, or of a mirror.
        known: what `checksums` returns.

    Raises:
        PipelineError: no such benchmark, a failed download, or a file with another checksum.
    """
    known = checksums() if known is None else known
    if benchmark not in known:
        raise PipelineError(f"no benchmark {benchmark!r}; {nearest(benchmark, known)}")
    num_pinned = 0
    for name, listed in known[benchmark].items():
        path = out / name
        pin = path.with_name(path.name + ".sha256")
        pinned = pin.read_text(encoding="utf-8").strip() if pin.is_file() else None
        sha256 = listed or pinned
        found = file_sha256(path) if path.is_file() else None
        if found is None or sha256 not in (None, found):
            found = _obtain(f"{address}/{name}", path, sha256)
        if sha256 is None:
            num_pinned += 1
            with atomic_write(pin) as temporary:
                temporary.write_text(found + "\n", encoding="utf-8")
            logger.info(f"{path}: its checksum is not known, pinned {found} on first use")
    logger.info(
        f"lists: {benchmark}: {len(known[benchmark])} files in {out}, {num_pinned} pinned now"
    )


def _obtain(url: str, path: Path, sha256: str | None) -> str:
    def check(arrived: Path) -> None:
        found = file_sha256(arrived)
        if sha256 not in (None, found):
            raise PipelineError(
                f"{shown(url)}: SHA-256 is {found}, expected {sha256}; not the pinned file"
            )

    # What is there and wrong stays until there is better.
    arrived = path.with_name(path.name + ".arrived")
    arrived.unlink(missing_ok=True)
    download(url, arrived, verify=check)
    arrived.replace(path)
    return file_sha256(path)
