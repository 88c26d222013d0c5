"""The files of a bundle, read from a folder or from a zip of one without unpacking it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection
from pathlib import Path

from avca_pipeline.errors import FormatError

ZIPPED = "pass the folder, or zip it with: zip -0 -r NAME.zip FOLDER"


def reader(path: Path, names: Collection[str]) -> Callable[[str], bytes]:
    """Returns what reads a file of a bundle.

    Args:
        path: of the folder or the zip.
        names: of the files; a zip may hold no other ones.

    Raises:
        FormatError: no zip of such a folder. What is returned raises it where a file is missing.
    """
    return _of_folder(path) if path.is_dir() else _of_zip(path, names)


def _of_folder(path: Path) -> Callable[[str], bytes]:
    def member(name: str) -> bytes:
        try:
            return (path / name).read_bytes()
        except OSError as error:
            raise FormatError(f"{path}: {name} cannot be read ({error.strerror})") from error

    return member


def _of_zip(path: Path, names: Collection[str]) -> Callable[[str], bytes]:
    """Returns what reads a member of a zip: one folder with our files in it, none compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            for entry in entries:
                folder, slash, name = entry.filename.partition("/")
                if folder == "__MACOSX" or not slash:
                    raise FormatError(
                        f"{path}: holds {entry.filename!r} beside the folder of a bundle, or in "
                        f"its place; {ZIPPED}"
                    )
                if folder in ("", ".", "..") or name not in ("", *names):
                    raise FormatError(
                        f"{path}: holds {entry.filename!r}, which no bundle has; do not trust it"
                    )
                # Of compressed bytes a megabyte may become a gigabyte.
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise FormatError(f"{path}: {entry.filename!r} is compressed; {ZIPPED}")
            content = {entry.filename.partition("/")[2]: archive.read(entry) for entry in entries}
    except FormatError:
        raise
    except (OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise FormatError(f"{path}: cannot be read as a zip ({error})") from error
    except zipfile.BadZipFile as error:
        raise FormatError(f"{path}: damaged or not a zip ({error})") from error

    def member(name: str) -> bytes:
        if name not in content:
            raise FormatError(f"{path}: {name} is missing; it is no bundle")
        return content[name]

    return member
