"""Lists of class names that a user writes: a text file with one name a line."""

from __future__ import annotations

from pathlib import Path

from avca_pipeline.errors import FormatError


def read(path: Path, key: str) -> list[str]:
    """Returns the names in a file, without the space around them and without empty lines.

    Args:
        path: of the file.
        key: option or key that names the file, to begin messages with.

    Raises:
        FormatError: the file is missing, or cannot be read as text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise FormatError(
            f"{key}: {path}: cannot be read as UTF-8 text ({why}); name a text file with one "
            "class a line, or class names themselves"
        ) from error
    return [line.strip() for line in lines if line.strip()]
