"""Puts features of a dataset into a folder that others can read, with a card."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from avca_pipeline import registry
from avca_pipeline.artifacts import (
    feature_folder,
    feature_windows,
    features,
    fetched,
    manifest,
    records,
    spreadsheets,
)
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.publishing import features_card
from avca_pipeline.publishing.places import in_text, without_places
from avca_pipeline.runtime.addresses import shown


@dataclass(frozen=True)
class Given:
    """Features of a modality as they are given away.

    Attributes:
        name: of the features in the config.
        modality: ``video`` or ``audio``.
        path: the file that they are read from.
        value: the features, without their windows; what fetching rejected is rejected here too.
    """

    name: str
    modality: str
    path: Path
    value: Features


def publish(paths: Sequence[Path], out: Path, licence: str = "unknown") -> None:
    """Writes the folder, whole or not at all.

    Args:
        paths: ``results/<dataset>/features/<backbone>.h5``, at most one of each modality.
        out: the folder to write.
        licence: of the features, as the Hugging Face Hub abbreviates it.

    Raises:
        PipelineError: a file is no features file, or they do not belong together; or the folder
            cannot be written.
    """
    feature_folder.check_replaceable(out)
    folders = {path.parent.parent for path in paths}
    if len(folders) > 1:
        raise PipelineError(
            f"{paths[1]}: is of another dataset than {paths[0]}; publish each by itself"
        )
    dataset = folders.pop()
    given = [_given(path, dataset) for path in paths]
    modalities = [part.modality for part in given]
    if len(set(modalities)) < len(modalities):
        raise PipelineError(
            f"{paths[-1]}: a folder has features of one {modalities[-1]} backbone; publish the "
            "others by themselves"
        )
    clips = _clips(dataset)
    card = features_card.text(dataset.name, given, clips, licence, _licence_of_clips(dataset))

    def fill(folder: Path) -> None:
        for part in given:
            features.write(
                folder / feature_folder.file_name(part.modality),
                part.value,
                feature_windows.of_file(part.path, range(len(part.value.clip_ids))),
            )
        if clips:
            manifest.write(folder / feature_folder.CLIPS, clips)
        spreadsheets.write(
            folder / feature_folder.REJECTED,
            ("clip_id", "features", "reason"),
            (
                (clip, part.name, reason)
                for part in given
                for clip, reason in sorted(part.value.rejected.items())
            ),
        )
        (folder / feature_folder.CARD).write_text(card, encoding="utf-8")

    names = {part.modality: part.name for part in given}
    feature_folder.write(out, dataset.name, names, fill)


def _given(path: Path, dataset: Path) -> Given:
    value = features.read(path)
    places = (dataset, dataset.parent, Path.cwd(), Path.home())
    lost = {
        row.clip_id: row.reason
        for table in sorted((dataset / "fetched").glob("*.csv"))
        for row in fetched.read(table)
        if row.status != OK
    }
    rejected = {
        clip: in_text(reason, *places) for clip, reason in (lost | dict(value.rejected)).items()
    }
    return Given(
        path.stem,
        _modality(path, value),
        path,
        replace(
            value,
            rejected={clip: rejected[clip] for clip in sorted(rejected)},
            attributes={
                name: str(without_places(text, *places)) for name, text in value.attributes.items()
            },
        ),
    )


def _modality(path: Path, value: Features) -> str:
    """Returns the modality of features, from what they say of themselves."""
    backbone = value.attributes.get("backbone", "")
    if backbone != features.IMPORTED:
        return str(registry.load("backbones", backbone).MODALITY)
    try:
        return str(json.loads(value.attributes["preprocessing"])["modality"])
    except (KeyError, ValueError) as error:
        raise FormatError(f"{path}: does not say of which modality its features are") from error


def _clips(dataset: Path) -> list[Clip]:
    """Returns the clips of a dataset, with the names of their files, but not where these lie."""
    path = dataset / "manifest.csv"
    if not path.is_file():
        return []
    return [
        replace(clip, path_or_url=_public(clip), reason=in_text(clip.reason, dataset))
        for clip in manifest.read(path)
    ]


def _licence_of_clips(dataset: Path) -> str:
    """Returns what the plugin of a dataset says of its licence; empty where it says nothing."""
    record = records.read(dataset.parent, dataset / "manifest.csv")
    plugin = "" if record is None else str(record.request.get("plugin", ""))
    try:
        described = registry.load("datasets", plugin).__doc__ or ""
    except PipelineError:
        return ""
    stated = re.search(r"^Licence +(.+(?:\n {8,}.+)*)", described, re.MULTILINE)
    if stated is None:
        return ""
    return f"of the dataset, the plugin {plugin} says: {' '.join(stated[1].split())}"


def _public(clip: Clip) -> str:
    place = clip.path_or_url
    if urlsplit(place).scheme in ("http", "https"):
        return shown(place)
    return PurePosixPath(shown(place)).name or clip.clip_id
