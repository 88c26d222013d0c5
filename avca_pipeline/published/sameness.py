"""Whether features, text embeddings and methods are those of a published table.

Each answer comes from what the files of a run state about themselves, and never from a name in a
config. Where the authors' files have a known SHA-256, it decides. The published features have none:
imported features count as published if they lie where the authors' archive unpacks them and have
the published dimensions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from avca_pipeline import registry
from avca_pipeline.artifacts.features import IMPORTED
from avca_pipeline.artifacts.scores import Provenance
from avca_pipeline.published.checksums import known_checksums

SETTINGS_FILE = "method_settings.json"
UNSCALED = "none"
SHA256 = re.compile(r"[0-9a-f]{64}(\+[0-9a-f]{64})?")
"""What features state of published weights: one SHA-256, or two with that of VGGish's PCA."""
NOT_OF_THE_METHOD = ("repeatable", "dropout_bits", "own_text")
"""Settings of models that change how numbers are computed, and not which method it is; or nothing
about runs of both modalities, those with published numbers.
"""
NOT_OF_THE_FEATURES = ("sha256", "pca_sha256", "seed", "pretraining_classes")
"""Settings of backbones that change nothing about features from published weights."""
CHOSEN_ON_TEST = "chosen_on_test"


@dataclass(frozen=True)
class PublishedFeatures:
    """The features of one modality behind a published table.

    Attributes:
        dim: how many values a clip has.
        folder: the folder below ``features`` in the authors' archive.
        backbone: the plugin that makes the same features; empty if there is none.
        preprocessing: settings of this plugin, as published.
        preprocessing_of: settings that the authors have for one benchmark alone.
        hop_s: seconds between windows of features over time, by which the authors count.
    """

    dim: int
    folder: str
    backbone: str = ""
    preprocessing: Mapping[str, str] = field(default_factory=dict)
    preprocessing_of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    hop_s: float | None = None


C3D = PublishedFeatures(
    4096,
    "cls_features",
    "c3d",
    {"preprocessing": "official-script"},
    {"ActivityNet": {"preprocessing": "official-script-activitynet"}},
)
VGGISH = PublishedFeatures(128, "cls_features", "vggish", {"postprocess": "pca-quantised"})
NOT_AVERAGED = "cls_features_non_averaged"
"""The folder of features over time in the archives of the later papers."""

FEATURE_SETS = {
    "selavi": {
        "video": PublishedFeatures(
            512, "main_features", "selavi_video", {"windows": "official-script"}
        ),
        "audio": PublishedFeatures(
            512, "main_features", "selavi_audio", {"windows": "official-script"}
        ),
    },
    "c3d-vggish": {"video": C3D, "audio": VGGISH},
    "c3d-vggish-windows": {
        "video": replace(C3D, folder=NOT_AVERAGED, hop_s=0.64),
        "audio": replace(VGGISH, folder=NOT_AVERAGED, hop_s=0.96),
    },
    "clip-wavcaps": {
        "video": PublishedFeatures(512, NOT_AVERAGED),
        "audio": PublishedFeatures(1024, NOT_AVERAGED),
    },
}
"""Name in ``scores.csv`` to the features of both modalities."""

WORD2VEC = "word2vec"
CLIP_WAVCAPS = "clip-wavcaps"
TEXT_EMBEDDINGS = (WORD2VEC, CLIP_WAVCAPS)
"""Names in ``scores.csv`` of the vectors that the authors give to classes."""
CLIP_WAVCAPS_DIM = 1536


def has_published_features(benchmark: str, feature_set: str, provenance: Provenance) -> bool:
    """Returns whether the features are those of a published table.

    Args:
        benchmark: such as ``UCF``.
        feature_set: a key of `FEATURE_SETS`.
        provenance: of the scores.
    """
    features = FEATURE_SETS[feature_set]
    return provenance.scaling == UNSCALED and all(
        _is_imported(benchmark, modality, features[modality], attributes)
        or _is_made_as_published(benchmark, features[modality], attributes)
        for modality, attributes in (("video", provenance.video), ("audio", provenance.audio))
    )


def has_published_text_embedding(
    benchmark: str, text_embedding: str, attributes: Mapping[str, str]
) -> bool:
    """Returns whether the vectors of the classes are those of a published table.

    Args:
        benchmark: such as ``UCF``.
        text_embedding: one of `TEXT_EMBEDDINGS`.
        attributes: what the labels file states.
    """
    plugin, files = attributes.get("plugin"), _content(attributes.get("files"))
    if not isinstance(files, list):
        return False
    if text_embedding == WORD2VEC:
        checksums = known_checksums()[benchmark]
        published = {sha for path, sha in checksums.items() if _is_of_word2vec(path)}
        return plugin == "precomputed" and {sha for _, sha in files} == published
    names = {name for name, _ in files if name.endswith(".npy")}
    vectors = f"word_embeddings_{benchmark.lower()}_normed.npy"
    return (
        plugin == "concatenated"
        and attributes.get("dim") == str(CLIP_WAVCAPS_DIM)
        and names == {vectors, f"wavcaps_{vectors}"}
    )


def has_published_settings(
    benchmark: str, lists: str, provenance: Provenance, *, may_choose_on_test: bool
) -> bool:
    """Returns whether a method ran with its published settings.

    Args:
        benchmark: such as ``UCF``.
        lists: ``main`` or ``cls``.
        provenance: of the scores.
        may_choose_on_test: whether it makes no difference on which clips the epoch was chosen.
    """
    settings_of_methods = _method_settings()[benchmark][lists]
    if provenance.model not in settings_of_methods:
        return False
    ignored = (*NOT_OF_THE_METHOD, *((CHOSEN_ON_TEST,) if may_choose_on_test else ()))
    changes = settings_of_methods[provenance.model]
    return _are_equal("models", provenance.model, provenance.settings, changes, ignored)


def _is_imported(
    benchmark: str, modality: str, features: PublishedFeatures, attributes: Mapping[str, str]
) -> bool:
    """Returns whether features were imported from where the authors' archive has them."""
    source = _content(attributes.get("preprocessing"))
    if attributes.get("backbone") != IMPORTED or not isinstance(source, dict):
        return False
    place = (benchmark, "features", features.folder)
    return (
        source.get("modality") == modality
        and PurePath(str(source.get("path"))).parts[-len(place) :] == place
        and attributes.get("dim") == str(features.dim)
        and source.get("hop_s") == features.hop_s
    )


def _is_made_as_published(
    benchmark: str, features: PublishedFeatures, attributes: Mapping[str, str]
) -> bool:
    """Returns whether a backbone made features from published weights in the published manner."""
    settings = _content(attributes.get("preprocessing"))
    return (
        bool(features.backbone)
        and attributes.get("backbone") == features.backbone
        and isinstance(settings, dict)
        and SHA256.fullmatch(attributes.get("weights", "")) is not None
        and _are_equal(
            "backbones",
            features.backbone,
            settings,
            {
                "weights": "published",
                **features.preprocessing,
                **features.preprocessing_of.get(benchmark, {}),
            },
            NOT_OF_THE_FEATURES,
        )
    )


def _are_equal(
    kind: registry.Kind,
    plugin: str,
    settings: Mapping[str, Any],
    changes: Mapping[str, Any],
    ignored: tuple[str, ...],
) -> bool:
    """Returns whether settings of a plugin are its defaults with changes, but for some keys."""
    if plugin not in registry.names(kind):
        return False
    settings_type = registry.load(kind, plugin).Settings
    expected = settings_type(**changes).model_dump(mode="json", exclude=set(ignored))
    try:
        actual = settings_type(**settings)
    except ValidationError:
        return False
    return actual.model_dump(mode="json", exclude=set(ignored)) == expected


def _is_of_word2vec(path: str) -> bool:
    return path.startswith("w2v_features/") or path.endswith("_w2v_class_names.csv")


def _content(text: str | None) -> Any:
    """Returns what a text in JSON says; ``None`` if it is not JSON."""
    try:
        return json.loads(text or "")
    except ValueError:
        return None


@cache
def _method_settings() -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Returns benchmark to lists to method to the published settings that are no defaults."""
    text = resources.files(__package__).joinpath(SETTINGS_FILE).read_text(encoding="utf-8")
    settings: dict[str, dict[str, dict[str, dict[str, Any]]]] = json.loads(text)
    return settings
