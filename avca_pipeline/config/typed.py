"""What a config says, typed: each section as a user writes it, and the whole once it is checked."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import Field, field_validator

from avca_pipeline.backbones import AnyBackbone
from avca_pipeline.datasets import AnyDataset
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.fetching.youtube import DownloadSettings
from avca_pipeline.media import Limits
from avca_pipeline.models import AnyModel, ModelSettings
from avca_pipeline.settings import PluginSettings, Seed
from avca_pipeline.splits import AnySplit, SplitSettings
from avca_pipeline.text_embeddings import AnyTextEmbedding

PluginT = TypeVar("PluginT")
SettingsT = TypeVar("SettingsT", bound=PluginSettings)


class LimitsSettings(PluginSettings):
    """What a clip may cost at most; one that costs more is rejected.

    Attributes:
        max_pixels: of one frame.
        max_duration_s: of one clip.
        max_bytes: of one media file, also of one that is downloaded or unpacked.
    """

    max_pixels: int = Field(default=8192 * 4320, ge=1)
    max_duration_s: float = Field(default=3600.0, gt=0)
    max_bytes: int = Field(default=MAX_BYTES, ge=1)

    def limits(self) -> Limits:
        """Returns them for the decoders."""
        return Limits(self.max_pixels, self.max_duration_s)


class ImportedFeatures(PluginSettings):
    """Features that were made elsewhere, in the published layout.

    Attributes:
        modality: ``video`` or ``audio``.
        path: the folder that ``video/`` and ``audio/`` are in, with
            ``<modality>/<stage>/<class>.h5`` below it.
    """

    modality: Literal["video", "audio"]
    path: Path


class FeatureSet(PluginSettings):
    """A named pair of backbones, or of imported features in their place.

    Attributes:
        video: name of a video backbone, or under ``imported``.
        audio: name of an audio backbone, or under ``imported``.
        scaling: ``none`` as published, or ``standard``: each dimension gets mean 0 and variance
            1 over the clips trained on.
    """

    video: str
    audio: str
    scaling: Literal["none", "standard"] = "none"


class Experiment(PluginSettings):
    """A grid of runs: one for each combination.

    An experiment may also be a list of grids, where not everything goes with everything.

    Attributes:
        datasets: names under ``datasets``.
        feature_sets: names under ``feature_sets``.
        text_embeddings: names under ``text_embeddings``.
        splits: names under ``splits``.
        models: names under ``models``.
        seeds: of training, less than 2**32; the report gives mean and standard deviation over
            them.
    """

    datasets: tuple[str, ...]
    feature_sets: tuple[str, ...]
    text_embeddings: tuple[str, ...]
    splits: tuple[str, ...]
    models: tuple[str, ...]
    seeds: tuple[Seed, ...] = (0,)

    @field_validator("*")
    @classmethod
    def _listed_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values or len(set(values)) != len(values):
            raise ValueError("list at least one, and each once")
        return values


@dataclass(frozen=True)
class Entry(Generic[PluginT, SettingsT]):
    """A named use of a plugin."""

    name: str
    plugin: str
    settings: SettingsT
    module: PluginT


DatasetEntry: TypeAlias = "Entry[AnyDataset, PluginSettings]"
BackboneEntry: TypeAlias = "Entry[AnyBackbone, WeightsSettings]"
TextEmbeddingEntry: TypeAlias = "Entry[AnyTextEmbedding, PluginSettings]"
SplitEntry: TypeAlias = "Entry[AnySplit, SplitSettings]"
ModelEntry: TypeAlias = "Entry[AnyModel, ModelSettings]"


@dataclass(frozen=True)
class Run:
    """One dataset × split × feature set × text embedding × model × seed."""

    dataset: str
    split: str
    feature_set: str
    text_embedding: str
    model: str
    seed: int

    @property
    def path(self) -> str:
        """Where its results lie within the results folder."""
        return (
            f"{self.dataset}/runs/{self.split}/{self.feature_set}/{self.text_embedding}/"
            f"{self.model}/seed{self.seed}"
        )


@dataclass(frozen=True)
class Config:
    """A config that has passed every check that needs no media."""

    results: str
    cache: str
    jobs_per_gpu: int
    limits: LimitsSettings
    download: DownloadSettings
    datasets: dict[str, DatasetEntry]
    num_shards: dict[str, int]
    max_missing: dict[str, float]
    backbones: dict[str, BackboneEntry]
    imported: dict[str, ImportedFeatures]
    feature_sets: dict[str, FeatureSet]
    text_embeddings: dict[str, TextEmbeddingEntry]
    splits: dict[str, SplitEntry]
    models: dict[str, ModelEntry]
    candidates: dict[str, dict[str, ModelSettings]]
    experiments: tuple[Experiment, ...]

    def runs(self) -> list[Run]:
        """Returns all runs of the experiment, each once."""
        combinations = itertools.chain.from_iterable(
            itertools.product(
                e.datasets, e.splits, e.feature_sets, e.text_embeddings, e.models, e.seeds
            )
            for e in self.experiments
        )
        return [Run(*combination) for combination in dict.fromkeys(combinations)]

    def used(self, key: str) -> list[str]:
        """Returns the names that the experiment lists under one of its keys, each once."""
        return list(dict.fromkeys(name for e in self.experiments for name in getattr(e, key)))

    def used_splits(self) -> list[tuple[str, str]]:
        """Returns each dataset with each of the splits that it is used with."""
        return list(dict.fromkeys((run.dataset, run.split) for run in self.runs()))

    def used_features(self, split: str = "") -> list[tuple[str, str]]:
        """Returns each dataset with each of its backbones and imported features (of a split)."""
        runs = [run for run in self.runs() if run.split == (split or run.split)]
        sets = [(run.dataset, self.feature_sets[run.feature_set]) for run in runs]
        return sorted({(dataset, name) for dataset, s in sets for name in (s.video, s.audio)})

    def used_backbones(self) -> list[str]:
        """Returns the names of the backbones and imported features that the experiment uses."""
        return sorted({name for _, name in self.used_features()})

    def used_with(self, split: str, dataset: str = "") -> list[str]:
        """Returns the names of the backbones and imported features that a split is used with."""
        used = self.used_features(split)
        return sorted({name for of, name in used if of == (dataset or of)})

    def text_embeddings_with(self, split: str, dataset: str) -> list[str]:
        """Returns the names of the text embeddings that a dataset's split is used with."""
        runs = [run for run in self.runs() if (run.split, run.dataset) == (split, dataset)]
        return sorted({run.text_embedding for run in runs})

    def pretrained(self, split: str) -> list[str]:
        """Returns the backbones that may have seen classes of a split, and imported features."""
        excluded = self.splits[split].settings.backbones_to_exclude()
        return [
            name
            for name in sorted({*excluded, *self.used_with(split)})
            if name in self.imported or _may_know_classes(self.backbones[name].settings)
        ]

    def pretraining_lists(self, split: str) -> list[Path]:
        """Returns the files that say which classes the backbones of a split were trained on."""
        files = [
            self.backbones[name].settings.pretraining_classes
            for name in self.pretrained(split)
            if name in self.backbones
        ]
        return sorted({Path(file).expanduser() for file in files if file})

    def with_media(self) -> list[str]:
        """Returns the datasets of which any features are extracted here."""
        used = self.used_features()
        return sorted({dataset for dataset, name in used if name in self.backbones})


def _may_know_classes(settings: WeightsSettings) -> bool:
    return not settings.is_random or bool(settings.pretraining_classes)
