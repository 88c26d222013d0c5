"""A folder of features to give away: ``features.json`` names what is in it, with a SHA-256 each.

``video.h5`` and ``audio.h5`` are features files, of which there is at least one. ``clips.csv``
lists the clips, and ``README.md``, a card, and ``rejected.csv`` are for readers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict

from avca_pipeline.artifacts import features, typed_json
from avca_pipeline.artifacts.atomic import atomic_write_folder, file_sha256
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.typed_json import STRICT
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.runtime.paths import is_there

FORMAT_VERSION = 1
DESCRIPTION = "features.json"
CARD = "README.md"
CLIPS = "clips.csv"
REJECTED = "rejected.csv"
MEMBERS = (DESCRIPTION, CARD, CLIPS, REJECTED, "video.h5", "audio.h5")


@dataclass(frozen=True)
class Description:
    """What is in the folder.

    Attributes:
        dataset: name of the dataset in the config.
        names: modality to the name of the features.
        sha256: name of each file of features to the SHA-256 of its content.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    dataset: str
    names: dict[Literal["video", "audio"], str]
    sha256: dict[str, str]


def file_name(modality: str) -> str:
    """Returns the name of the file with the features of a modality."""
    return f"{modality}.h5"


def is_one(path: Path) -> bool:
    """Returns whether a folder is one of these."""
    return is_there(path / DESCRIPTION)


def write(
    out: Path,
    dataset: str,
    names: Mapping[str, str],
    fill: Callable[[Path], None],
) -> None:
    """Writes the folder, whole or not at all.

    Args:
        out: the folder. What is there already must be such a folder with nothing else in it, and
            is replaced.
        dataset: name of the dataset.
        names: modality to the name of the features.
        fill: writes all files but the description into the folder that it is given.

    Raises:
        PipelineError: something else is there, or the folder cannot be written.
    """
    check_replaceable(out)
    with atomic_write_folder(out) as folder:
        fill(folder)
        digests = {name: file_sha256(folder / name) for name in map(file_name, names)}
        typed_json.write(
            folder / DESCRIPTION,
            Description(dataset, dict(names), digests),  # type: ignore[arg-type]
            FORMAT_VERSION,
        )


def check_replaceable(out: Path) -> None:
    """Raises `PipelineError` where something would be lost if a folder were replaced."""
    try:
        if not out.exists():
            return
        found = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
    except OSError as error:
        raise PipelineError(f"{out}: cannot be written ({error.strerror})") from error
    if found and (DESCRIPTION not in found or found - {*MEMBERS}):
        raise PipelineError(
            f"{out}: is there and no folder of published features, or has other files in it; name "
            "a folder that is not there"
        )


def files(path: Path, modality: str) -> list[Path]:
    """Returns the files that decide the features of a modality.

    Raises:
        PipelineError: the folder has none, or is not whole.
    """
    described = _described(path)
    name = file_name(modality)
    if modality not in described.names or name not in described.sha256:
        raise PipelineError(
            f"{path}: has no {modality} features; it has {' and '.join(described.names) or 'none'}"
        )
    if not (path / name).is_file():
        raise PipelineError(f"{path / name}: no such file; copy the folder as a whole")
    return [path / DESCRIPTION, path / name]


def read(path: Path, modality: str, *, with_windows: bool = False) -> Features:
    """Returns the features of a modality.

    Args:
        path: of the folder.
        modality: ``video`` or ``audio``.
        with_windows: read also the windows, if they were kept.

    Raises:
        PipelineError: the folder has none, or another file than it was published with.
    """
    file = files(path, modality)[1]
    expected = _described(path).sha256[file.name]
    try:
        sha256 = file_sha256(file)
    except OSError as error:
        raise FormatError(f"{file}: cannot be read ({error.strerror})") from error
    if sha256 != expected:
        raise FormatError(
            f"{file}: SHA-256 is {sha256}, but {DESCRIPTION} says {expected}; get the folder again"
        )
    return features.read(file, with_windows=with_windows)


def _described(path: Path) -> Description:
    return typed_json.read(path / DESCRIPTION, Description, FORMAT_VERSION)
