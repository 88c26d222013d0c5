"""Files from elsewhere that never change: downloaded once, verified, and pinned at first use.

Pretrained weights and a benchmark's published lists both come this way. Where the SHA-256 of a
file is known, the file must have it. Where it is not, the first download is trusted, and its
SHA-256 is written beside it, in ``<file>.sha256``: from then on the file must have that.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from avca_pipeline.artifacts.atomic import atomic_write, file_sha256
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.web_files import download
from avca_pipeline.runtime.addresses import shown

logger = logging.getLogger(__name__)

NUM_DIGITS = 64


@dataclass(frozen=True)
class PinnedFile:
    """A file whose checksum is right.

    Attributes:
        sha256: of its content.
        is_first_use: whether its checksum was not known, and has been pinned now.
    """

    sha256: str
    is_first_use: bool


def obtain(
    address: str,
    path: Path,
    expected: str = "",
    *,
    kind: str,
    remedy: str,
    replaces_wrong: bool = False,
) -> PinnedFile:
    """Downloads a file if need be, and makes sure that it is the same at every use.

    Args:
        address: of the file, http or https.
        path: where it is kept.
        expected: its SHA-256 or what that begins with, as far as it is known. A whole one counts
            before the pin beside the file, a beginning after it.
        kind: begins a message on the file, such as ``weights``.
        remedy: ends the message on a wrong checksum: what the user can do.
        replaces_wrong: download a file again that is there and wrong; it stays until the download
            is right. Without this, such a file is an error.

    Raises:
        PipelineError: a failed download, or a wrong checksum; then no download is kept.
    """
    pin = pin_of(path)
    is_known = len(expected) == NUM_DIGITS
    if not is_known and pin.is_file():
        expected = pin.read_text(encoding="utf-8").strip()
    if not path.is_file():
        _download(address, path, expected, remedy)
    elif replaces_wrong and not _sha256(path, kind).startswith(expected):
        arriving = path.with_name(path.name + ".arrived")
        arriving.unlink(missing_ok=True)
        _download(address, arriving, expected, remedy)
        arriving.replace(path)
    sha256 = verify(path, expected, kind)
    is_first_use = not is_known and not pin.is_file()
    if is_first_use:
        logger.info(f"{shown(address)}: its checksum is not known, pinned {sha256} on first use")
        with atomic_write(pin) as temporary:
            temporary.write_text(sha256 + "\n", encoding="utf-8")
    return PinnedFile(sha256, is_first_use)


def verify(path: Path, expected: str | None, kind: str) -> str:
    """Returns the SHA-256 of a file.

    Args:
        path: of the file.
        expected: what the SHA-256 must be, or begin with; nothing if that is not known.
        kind: begins a message on the file, such as ``weights``.

    Raises:
        PipelineError: the file cannot be read, or has another SHA-256.
    """
    sha256 = _sha256(path, kind)
    if not sha256.startswith(expected or ""):
        raise PipelineError(
            f"{kind} {path}: SHA-256 is {sha256}, expected {expected}; "
            "delete the file or correct sha256 in the config"
        )
    return sha256


def pin_of(path: Path) -> Path:
    """Returns the file beside a download that has the SHA-256 of its first use."""
    return path.with_name(path.name + ".sha256")


def forget(path: Path) -> None:
    """Removes a download and its pin."""
    path.unlink(missing_ok=True)
    pin_of(path).unlink(missing_ok=True)


def _download(address: str, path: Path, expected: str, remedy: str) -> None:
    def check(arrived: Path) -> None:
        sha256 = file_sha256(arrived)
        if not sha256.startswith(expected):
            raise PipelineError(
                f"{shown(address)}: SHA-256 is {sha256}, expected {expected}; {remedy}"
            )

    download(address, path, verify=check)


def _sha256(path: Path, kind: str) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise PipelineError(f"{kind} {path}: cannot be read ({error.strerror})") from error
