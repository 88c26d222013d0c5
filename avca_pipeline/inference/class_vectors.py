"""The vectors of class names: all of them for a dataset, the new ones for a trained network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline import registry
from avca_pipeline.artifacts.atomic import file_sha256
from avca_pipeline.artifacts.bundle import BundledText
from avca_pipeline.artifacts.labels import Labels
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.config import validated
from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.published.class_names import class_key
from avca_pipeline.runtime.addresses import redacted
from avca_pipeline.runtime.sealing import lacks_secrets


def embed_names(
    plugin: str, settings: Mapping[str, Any], class_names: Sequence[str], cache: Path
) -> Labels:
    """Returns the vectors of class names, with where they come from.

    Args:
        plugin: name of the text embedding's plugin.
        settings: of the plugin.
        class_names: the names, in the order of the vectors.
        cache: where downloaded models are kept.

    Raises:
        PipelineError: a class has no vector, or a file with vectors is not what it should be.
    """
    module = registry.load("text_embeddings", plugin)
    typed = validated(module.Settings, settings, f"text_embeddings ({plugin})")
    vectors = module.vectors(typed.with_files(cache), class_names)
    attributes = {
        "plugin": plugin,
        "settings": redacted(canonical_json(typed.model_dump(mode="json"))),
        "files": canonical_json(sorted(input_files(module, typed))),
        "weights": canonical_json(typed.weights_used(cache)),
    }
    # The address of a model may have a password in it, and a plugin may show the address.
    return Labels(class_names, vectors, redacted(module.describe(typed)), attributes)


def new_vectors(text: BundledText, class_names: Sequence[str], cache: Path) -> np.ndarray:
    """Returns ``(names, dim)`` float32, from the same text embedding as the run's own classes.

    Raises:
        PipelineError: a name cannot be embedded, or the text embedding is no longer the same.
    """
    same_package("text_embeddings", text.plugin, text.package)
    if lacks_secrets(text.settings):
        raise PipelineError(
            f"text_embeddings ({text.plugin}): the password or token of an address is not in the "
            f"bundle, and class {abbreviated(class_names[0])} has no vector of the run's own; use "
            "the run's folder, or its class names"
        )
    module = registry.load("text_embeddings", text.plugin)
    typed = validated(module.Settings, text.settings, f"text_embeddings ({text.plugin})")
    try:
        found = tuple(sorted(input_files(module, typed)))
    except OSError as error:
        raise PipelineError(
            f"{error.filename}: cannot be read ({error.strerror}), and class {class_names[0]!r} "
            "has no vector of the run's own; bring the file, or use the run's class names"
        ) from error
    if found != text.files:
        changed = sorted({name for name, _ in {*found} ^ {*text.files}})
        raise PipelineError(
            f"text_embeddings ({text.plugin}): {', '.join(changed)} is another file than the run "
            "was trained with; bring that one, or use the run's class names"
        )
    vectors: np.ndarray = module.vectors(typed.with_files(cache), class_names)
    _check_weights(text, typed.weights_used(cache))
    if text.dim and vectors.shape[1] != text.dim:
        raise PipelineError(
            f"text_embeddings ({text.plugin}): gives {vectors.shape[1]} numbers for a class, and "
            f"the run was trained with {text.dim}"
        )
    return vectors


def _check_weights(text: BundledText, used: Sequence[Mapping[str, str]]) -> None:
    """Raises `PipelineError` where a model has other weights, or is of another commit."""
    expected, found = _versions(text.weights), _versions(used)
    if text.weights and found != expected:
        raise PipelineError(
            f"text_embeddings ({text.plugin}): has here {found}, and the run was trained with "
            f"{expected}; give the cache with those (--cache), or use the run's class names"
        )


def _versions(weights: Sequence[Mapping[str, str]]) -> str:
    """Returns which weights these are, without their hosts: a mirror has the same commits."""
    return ", ".join(
        f"weights {model.get('sha256', '')[:12]}"
        + (f" of commit {commit}" if (commit := model.get("revision")) else "")
        for model in weights
    )


def same_package(kind: registry.Kind, plugin: str, package: str) -> None:
    """Raises `PipelineError` where a plugin is another package's, or of another version."""
    found = registry.package(kind, plugin)
    if found != package:
        raise PipelineError(
            f"{kind}: plugin {plugin!r} is of {found or 'avca_pipeline'}, and the run was made "
            f"with that of {package or 'avca_pipeline'}; install that"
        )


def matched(class_names: Sequence[str], own: Sequence[str]) -> list[str]:
    """Returns names in which those of a run's classes are spelled as the run spells them.

    Args:
        class_names: what a user asks for.
        own: of the run.

    Raises:
        PipelineError: a name is empty or no text, or two names are one class.
    """
    asked = texts(class_names, "classes")
    spelled: dict[str, list[str]] = {}
    for name in own:
        spelled.setdefault(class_key(name), []).append(name)
    names = []
    for written in asked:
        alike = spelled.get(class_key(written), [])
        names.append(alike[0] if written not in own and len(alike) == 1 else written)
    for name in names:
        if names.count(name) > 1:
            raise PipelineError(f"classes: {abbreviated(name)} is named twice; name it once")
    return names


def texts(names: Iterable[str], what: str) -> list[str]:
    """Returns names without the space around them.

    Args:
        names: what a caller gives.
        what: it is, for the error.

    Raises:
        PipelineError: there is none, one is empty, or they are no list of texts.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise PipelineError(
            f"{what}: expected a list of names, such as ['surfing'], found {abbreviated(names)}"
        )
    found = list(names)
    for name in found:
        if not isinstance(name, str) or _has_half_characters(name):
            raise PipelineError(f"{what}: a name must be a text, found {abbreviated(name)}")
        if not name.strip():
            raise PipelineError(f"{what}: a name is empty; remove it")
    if not found:
        raise PipelineError(f"{what}: none are named; name at least one")
    return [str(name.strip()) for name in found]


def _has_half_characters(name: str) -> bool:
    """Returns whether a name has characters in it that are none, and that no file can hold."""
    return any("\ud800" <= char <= "\udfff" for char in name)


def input_files(module: Any, typed: Any) -> set[tuple[str, str]]:
    """Returns name and SHA-256 of each file that a text embedding reads."""
    return {(path.name, file_sha256(path)) for path in module.inputs(typed)}
