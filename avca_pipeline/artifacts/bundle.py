"""A bundle: all that a trained network needs to classify videos, as a folder or as a zip of one.

``bundle.json`` says what is computed and how, ``network.safetensors`` and ``arrays.safetensors``
hold numbers, ``scores.json``, ``predictions.csv`` and ``README.md``, a model card, are for readers.
Reading a bundle runs no code, unpacks nothing, and reads no file but these.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict

from avca_pipeline.artifacts import scores as score_files
from avca_pipeline.artifacts import typed_json
from avca_pipeline.artifacts.atomic import atomic_write, atomic_write_folder
from avca_pipeline.artifacts.bundle_members import reader
from avca_pipeline.artifacts.scores import Scores
from avca_pipeline.artifacts.text_files import canonical_json, parse_json
from avca_pipeline.artifacts.typed_json import STRICT
from avca_pipeline.errors import FormatError
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.runtime.sealing import without_secrets

FORMAT_VERSION = 2
DESCRIPTION = "bundle.json"
NETWORK = "network.safetensors"
ARRAYS = "arrays.safetensors"
SCORES = "scores.json"
PREDICTIONS = "predictions.csv"
CARD = "README.md"
REMEDY = "make the bundle anew"
NEEDED = (DESCRIPTION, NETWORK, ARRAYS, SCORES, CARD)
MEMBERS = (*NEEDED, PREDICTIONS)
"""Files of a bundle; one of a run that kept no predictions lacks the last one."""


@dataclass(frozen=True)
class BundledBackbone:
    """What makes the features of one modality.

    Attributes:
        name: of the backbone in the config.
        plugin: its plugin.
        package: that registers the plugin, with its version; empty for a plugin of our own.
        version: of the code that extracts; 0 where features are made for the first time.
        settings: of the plugin.
        weights: SHA-256 or ``random:<seed>``; empty where features are made for the first time.
        dim: of the features; 0 likewise.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    plugin: str
    package: str
    version: int
    settings: dict[str, Any]
    weights: str = ""
    dim: int = 0


@dataclass(frozen=True)
class BundledText:
    """What gives class names their vectors.

    Attributes:
        plugin: of the text embedding.
        package: that registers the plugin, with its version; empty for a plugin of our own.
        settings: of the plugin.
        files: names and SHA-256 of the files that it reads, sorted.
        dim: of the vectors; 0 where none have been made.
        weights: ``name``, ``revision`` and ``sha256`` of each model that made them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    plugin: str
    package: str
    settings: dict[str, Any]
    files: tuple[tuple[str, str], ...] = ()
    dim: int = 0
    weights: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Description:
    """What is computed, and with which settings.

    Attributes:
        name: of the run.
        model: plugin of the method.
        model_package: that registers the plugin, with its version.
        model_settings: its hyper-parameters.
        bias: that is added to the distances of seen classes.
        class_names: of the run, in the order of the class vectors.
        is_unseen: for each of them whether no clip of it was trained on.
        backbones: modality to what makes its features.
        text: what gives class names their vectors.
        max_pixels: of a frame; a clip with larger ones is rejected.
        max_duration_s: of a clip; a longer one is rejected.
        sha256: of the files beside this one, and of all that stands above.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    model: str
    model_package: str
    model_settings: dict[str, Any]
    bias: float
    class_names: tuple[str, ...]
    is_unseen: tuple[bool, ...]
    backbones: dict[str, BundledBackbone]
    text: BundledText
    max_pixels: int
    max_duration_s: float
    sha256: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """All of it in memory.

    Attributes:
        description: see there.
        network: parameters and buffers of the network, by name.
        arrays: ``scaling.<modality>_mean`` and ``scaling.<modality>_factor``, ``(dim,)`` float64;
            ``class_vectors``, ``(classes, dim)`` float32; and for a method that looks at clips of
            the seen classes before it classifies, ``training.video``, ``training.audio``,
            ``(clips, dim)`` float32 and not scaled, and ``training.class``, ``(clips,)``, rows of
            their classes.
        scores: text of the run's ``scores.json``; empty where nothing was scored.
        predictions: text of the run's ``predictions.csv``; empty where they were not kept.
    """

    description: Description
    network: Mapping[str, torch.Tensor]
    arrays: Mapping[str, np.ndarray]
    scores: str = ""
    predictions: str = ""

    def typed_scores(self) -> Scores | None:
        """Returns the scores of the run; nothing where nothing was scored.

        Raises:
            FormatError: they are no scores of this version.
        """
        if not self.scores:
            return None
        version = score_files.FORMAT_VERSION
        return typed_json.parse(self.scores, SCORES, Scores, version, remedy=REMEDY)


def write(out: Path, bundle: Bundle, card: str) -> Path:
    """Writes a folder and, beside it, a zip of it, whose path is returned.

    Passwords and tokens in addresses are left out.

    Args:
        out: the folder; the zip has the same name with ``.zip`` behind it.
        bundle: what to write.
        card: text of the model card.

    Raises:
        PipelineError: they cannot be written.
    """
    from safetensors.numpy import save as save_arrays
    from safetensors.torch import save as save_network

    tensors = {name: value.cpu().contiguous().clone() for name, value in bundle.network.items()}
    arrays = {name: np.ascontiguousarray(value) for name, value in bundle.arrays.items()}
    members = {
        NETWORK: save_network(tensors),
        ARRAYS: save_arrays(arrays),
        SCORES: bundle.scores.encode(),
        CARD: card.encode(),
    }
    if bundle.predictions:
        members[PREDICTIONS] = bundle.predictions.encode()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    described = _without_secrets(bundle.description) | {"format_version": FORMAT_VERSION}
    digests[DESCRIPTION] = _digest(described)
    described["sha256"] = digests
    text = json.dumps(described, indent=2, ensure_ascii=False, allow_nan=False)
    members[DESCRIPTION] = f"{text}\n".encode()
    with atomic_write_folder(out) as folder:
        for name, content in members.items():
            (folder / name).write_bytes(content)
    packed = out.with_name(f"{out.name}.zip")
    with atomic_write(packed) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in filter(members.__contains__, MEMBERS):
            # The same content gives the same bytes: a date in them would differ each time.
            archive.writestr(zipfile.ZipInfo(f"{out.name}/{name}"), members[name])
    return packed


def read(path: Path) -> Bundle:
    """Reads a bundle, a folder or a zip; runs no code and unpacks nothing.

    Raises:
        FormatError: no bundle of this version, or one whose files are damaged or were changed.
    """
    from safetensors.numpy import load as load_arrays
    from safetensors.torch import load as load_network

    member = reader(path, MEMBERS)
    text = member(DESCRIPTION).decode("utf-8", "replace")
    described = typed_json.parse(
        text, f"{path}: {DESCRIPTION}", Description, FORMAT_VERSION, remedy=REMEDY
    )
    if _digest(parse_json(text)) != described.sha256.get(DESCRIPTION):
        raise FormatError(f"{path}: {DESCRIPTION} was changed since it was written; {REMEDY}")
    kept = [PREDICTIONS] if PREDICTIONS in described.sha256 else []
    content = {name: member(name) for name in (NETWORK, ARRAYS, SCORES, *kept)}
    for name, part in content.items():
        if hashlib.sha256(part).hexdigest() != described.sha256.get(name):
            raise FormatError(
                f"{path}: {name} is damaged, or not the file that {DESCRIPTION} was written for; "
                f"{REMEDY}"
            )
    try:
        network, arrays = load_network(content[NETWORK]), load_arrays(content[ARRAYS])
    except Exception as error:  # The library raises errors of many types for damaged bytes.
        raise FormatError(f"{path}: its numbers cannot be read ({error})") from error
    texts = [content.get(name, b"").decode("utf-8", "replace") for name in (SCORES, PREDICTIONS)]
    bundle = Bundle(described, network, arrays, *texts)
    _check(path, bundle)
    return bundle


def is_one(path: Path) -> bool:
    """Returns whether a path looks like a bundle: a folder with its description, or a zip."""
    return (path / DESCRIPTION).is_file() or (path.is_file() and path.suffix == ".zip")


def _check(path: Path, bundle: Bundle) -> None:
    """Raises `FormatError` where arrays do not fit the description."""
    described, arrays = bundle.description, bundle.arrays
    num_classes = len(described.class_names)
    shapes: dict[str, tuple[int, ...]]
    shapes = {"class_vectors": (num_classes, described.text.dim)}
    for modality, backbone in described.backbones.items():
        for name in ("mean", "factor"):
            shapes[f"scaling.{modality}_{name}"] = (backbone.dim,)
    for name, shape in shapes.items():
        found = arrays[name].shape if name in arrays else "nothing"
        if found != shape:
            raise FormatError(f"{path}: {ARRAYS}: {name} must have shape {shape}, found {found}")
    if len(described.is_unseen) != num_classes or len(set(described.class_names)) != num_classes:
        raise FormatError(f"{path}: {DESCRIPTION}: class_names and is_unseen do not fit together")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise FormatError(f"{path}: {ARRAYS} has numbers that are not finite")


def _without_secrets(description: Description) -> dict[str, Any]:
    """Returns a description as JSON has it, which knows no tuples, to be given away."""
    described: dict[str, Any] = json.loads(json.dumps(asdict(description)))
    for part in (*described["backbones"].values(), described["text"]):
        part["settings"] = without_secrets(part["settings"])
    described["model_settings"] = without_secrets(described["model_settings"])
    return described


def _digest(described: Mapping[str, Any]) -> str:
    stated = {name: value for name, value in described.items() if name != "sha256"}
    return hashlib.sha256(canonical_json(stated).encode()).hexdigest()
