"""Command ``bundle``: packs what a trained run needs to classify videos on another machine."""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path

from avca_pipeline.artifacts import bundle
from avca_pipeline.errors import PipelineError
from avca_pipeline.inference import card, run_folder
from avca_pipeline.runtime.paths import expanded

logger = logging.getLogger(__name__)


def run(folder: Path, out: Path) -> None:
    """Writes a folder and a zip of it.

    Args:
        folder: of the run, within a whole folder of results.
        out: the folder to write. What is there already, as a folder or with ``.zip`` behind its
            name, must be a bundle with nothing else in it, and is replaced.

    Raises:
        PipelineError: the folder has no run that has ended, or the bundle cannot be written.
    """
    # Only so has "." a name, to which ".zip" can be added.
    out = expanded(out).absolute()
    check_replaceable(out)
    made = run_folder.read(expanded(folder).absolute())
    packed = bundle.write(out, made, card.text(made))
    logger.info(f"bundle: {made.description.name} in {out} and {packed}")


def check_replaceable(out: Path) -> None:
    """Raises `PipelineError` where something would be lost if a bundle were written.

    Args:
        out: the folder of the bundle; a zip of it lies beside it.
    """
    try:
        _check_folder(out)
        _check_zip(out.with_name(f"{out.name}.zip"))
    except OSError as error:
        raise PipelineError(f"{out}: cannot be written ({error.strerror})") from error


def _check_folder(out: Path) -> None:
    """Raises `PipelineError` where something would be lost if a folder were replaced."""
    if not out.exists():
        return
    if not out.is_dir() or not bundle.is_one(out):
        raise PipelineError(f"{out}: is there and no bundle; name a folder that is not there")
    others = sorted({path.name for path in out.iterdir()} - {*bundle.MEMBERS})
    if others:
        raise PipelineError(
            f"{out}: has {others[0]!r} in it, which is of no bundle; name a folder that is not "
            "there, or remove that"
        )


def _check_zip(packed: Path) -> None:
    """Raises `PipelineError` where a file would be lost."""
    if not packed.exists():
        return
    try:
        with zipfile.ZipFile(packed) as archive:
            members = {name.partition("/")[2] for name in archive.namelist()}
    except zipfile.BadZipFile:
        members = set()
    if not {*bundle.NEEDED} <= members - {""} <= {*bundle.MEMBERS}:
        raise PipelineError(
            f"{packed}: is there and no bundle, and a zip of this name would replace it; name "
            "another folder"
        )
