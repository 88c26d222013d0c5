"""The whole config, typed: what a user writes, and what follows from it."""

from __future__ import annotations

import functools
import itertools
import math
import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from avca_pipeline.artifacts.run import BOTH, Modalities, Run
from avca_pipeline.config.entries import (
    BackboneEntry,
    DatasetEntry,
    ModelEntry,
    ReadBy,
    SplitEntry,
    TextEmbeddingEntry,
    read_entry,
    read_section,
)
from avca_pipeline.config.names import Folder, ResultsFolder
from avca_pipeline.config.sections import (
    Applied,
    Count,
    Experiment,
    FeatureSet,
    ImportedFeatures,
    LimitsSettings,
    ReportSettings,
)
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.fetching.whole_videos import DownloadSettings
from avca_pipeline.models import ModelSettings
from avca_pipeline.registry import Kind
from avca_pipeline.settings import PluginSettings, refusal

MAX_RUNS = 100_000
SECTIONS_OF_EXPERIMENT = ("feature_sets", "text_embeddings", "splits", "models")
"""What an experiment needs beside datasets; without one, only features can be made."""


def _of_plugins(kind: Kind) -> ReadBy:
    """Says how to read a section whose entries are plugins with their settings."""
    return ReadBy(functools.partial(read_section, kind, functools.partial(read_entry, kind)))


def _of_settings(section: str, settings: type[PluginSettings]) -> ReadBy:
    """Says how to read a section whose entries are settings of one kind."""

    def read(name: str, value: Any) -> PluginSettings:
        return settings.model_validate(value)

    return ReadBy(functools.partial(read_section, section, read))


def _may_be_empty(section: ReadBy) -> ReadBy:
    """Says how to read a section that may have no entries."""
    return ReadBy(lambda value: {} if value in (None, {}) else section.function(value))


def _read_grids(value: Any) -> tuple[Experiment, ...]:
    """Returns the grids of an experiment; a user writes one, or a list of them."""
    if value == []:
        raise refusal("expected a grid or a list of grids, found []")
    if isinstance(value, list):
        grids = TypeAdapter(tuple[Experiment, ...]).validate_python(value)
    else:
        grids = (Experiment.model_validate(value),)
    keys = Experiment.model_fields
    num_runs = sum(math.prod(len(getattr(grid, key)) for key in keys) for grid in grids)
    if num_runs > MAX_RUNS:
        raise refusal(f"stands for {num_runs} runs; {MAX_RUNS} are the most")
    return grids


class Config(PluginSettings):
    """A config that has passed every check that needs no media."""

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        json_schema_extra={"dependentRequired": {"experiment": list(SECTIONS_OF_EXPERIMENT)}},
    )

    results: ResultsFolder = "results"
    """The folder that receives all results."""
    cache: Folder = "~/.cache/avca_pipeline"
    """The folder that keeps downloaded weights."""
    jobs_per_gpu: Count = 1
    """Number of jobs that may share a GPU, where there are GPUs."""
    runs_per_job: Count = 1
    """Number of runs of one dataset, split, feature set and text embedding that one job trains and
    evaluates, each training in a process of its own. Such a job starts and imports once, and uses
    all cores. On a cluster each training is a job of its own, whatever this says.
    """
    limits: LimitsSettings = LimitsSettings()
    """Upper limits for each clip; a clip that exceeds one of them is rejected."""
    download: DownloadSettings = DownloadSettings()
    """How clips are downloaded."""
    report: ReportSettings = ReportSettings()
    """What the report shows."""
    datasets: Annotated[dict[str, DatasetEntry], _of_plugins("datasets")]
    """Where clips come from."""
    backbones: Annotated[dict[str, BackboneEntry], _may_be_empty(_of_plugins("backbones"))] = Field(
        default_factory=dict
    )
    """Networks that compute features; their weights do not change."""
    imported: Annotated[
        dict[str, ImportedFeatures], _may_be_empty(_of_settings("imported", ImportedFeatures))
    ] = Field(default_factory=dict)
    """Features that were computed elsewhere."""
    feature_sets: Annotated[dict[str, FeatureSet], _of_settings("feature_sets", FeatureSet)] = (
        Field(default_factory=dict)
    )
    """Pairs of a video and an audio backbone, or one of the two, by a name for each."""
    text_embeddings: Annotated[dict[str, TextEmbeddingEntry], _of_plugins("text_embeddings")] = (
        Field(default_factory=dict)
    )
    """What gives each class name a vector."""
    splits: Annotated[dict[str, SplitEntry], _of_plugins("splits")] = Field(default_factory=dict)
    """What puts each clip into one of the five partitions."""
    models: Annotated[dict[str, ModelEntry], _of_plugins("models")] = Field(default_factory=dict)
    """Methods, with their hyper-parameters and the values to search."""
    experiment: Annotated[tuple[Experiment, ...], ReadBy(_read_grids)] = ()
    """The grid of runs, or a list of grids: one run for each combination. Without it, and without
    ``apply``, the target ``features`` extracts the features of all backbones from all datasets, and
    nothing else can be made.
    """
    apply: Annotated[dict[str, Applied], _may_be_empty(_of_settings("apply", Applied))] = Field(
        default_factory=dict
    )
    """Clips to classify with what was trained, a table of predictions for each name. Without an
    experiment, only ``datasets``, ``backbones`` and ``feature_sets`` are needed beside it.
    """

    def runs(self) -> list[Run]:
        """Returns all runs of the experiment, each once."""
        combinations = itertools.chain.from_iterable(
            itertools.product(
                grid.datasets,
                grid.splits,
                grid.feature_sets,
                grid.text_embeddings,
                grid.models,
                grid.seeds,
                grid.modalities,
            )
            for grid in self.experiment
        )
        runs = (
            Run(dataset, split, chosen, text, model, seed, self._modalities(chosen, modalities))
            for dataset, split, chosen, text, model, seed, modalities in combinations
        )
        return list(dict.fromkeys(runs))

    def _modalities(self, feature_set: str, modalities: Modalities) -> Modalities:
        """Returns the modalities of a run: of a feature set with one modality, that one."""
        return self.feature_sets[feature_set].modalities if modalities == BOTH else modalities

    def candidates(self, run: Run) -> dict[str, ModelSettings]:
        """Returns the candidates of a run, by name, with the modalities that it uses.

        Of candidates that differ only in what one modality alone does not use, the first is kept.
        """
        candidates: dict[str, ModelSettings] = {}
        for name, settings in self.models[run.model].candidates.items():
            modalities = settings.modalities if run.modalities == BOTH else run.modalities
            used = settings.using(modalities)
            if modalities == BOTH or used not in candidates.values():
                candidates[name] = used
        return candidates

    def run_of_applied(self, name: str) -> Run | None:
        """Returns the run of the experiment that an entry under ``apply`` names, if it is one."""
        path = self.apply[name].run
        if path is None:
            return None
        runs = {f"{self.results}/{run.path}": run for run in self.runs()}
        return runs.get(os.path.normpath(path)) or runs.get(os.path.relpath(path))

    def applied_to(self, dataset: str) -> list[str]:
        """Returns the entries under ``apply`` that classify the clips of a dataset."""
        return [name for name, entry in self.apply.items() if entry.dataset == dataset]

    def features_of_applied(self, name: str) -> dict[str, str]:
        """Returns the features that an entry under ``apply`` works on: modality to their name."""
        entry, run = self.apply[name], self.run_of_applied(name)
        if run is None:
            only = next(iter(self.feature_sets)) if len(self.feature_sets) == 1 else ""
            chosen = entry.zero_shot or entry.feature_set or only
            return self.feature_sets[chosen].names if chosen else {}
        names = self.feature_sets[run.feature_set].names
        used = next(iter(self.candidates(run).values())).modalities
        return names if used == BOTH else {used: names[used]}

    def text_embedding_of_applied(self, name: str) -> str:
        """Returns the text embedding of an entry under ``apply``; nothing for that of a bundle."""
        entry, run = self.apply[name], self.run_of_applied(name)
        if run is not None:
            return run.text_embedding
        if entry.zero_shot is None:
            return ""
        only = next(iter(self.text_embeddings)) if len(self.text_embeddings) == 1 else ""
        return entry.text_embedding or only

    def used_names(self, section: str) -> list[str]:
        """Returns the names of the entries of a section that are used, each once.

        They are those that ``experiment`` and ``apply`` list; without both, all datasets.
        """
        if section == "datasets" and not self.experiment and not self.apply:
            return list(self.datasets)
        names = [name for grid in self.experiment for name in getattr(grid, section)]
        if section == "datasets":
            names += [entry.dataset for entry in self.apply.values()]
        if section == "text_embeddings":
            names += filter(None, map(self.text_embedding_of_applied, self.apply))
        return list(dict.fromkeys(names))

    def used_splits(self) -> list[tuple[str, str]]:
        """Returns each dataset with each of the splits that it is used with."""
        return list(dict.fromkeys((run.dataset, run.split) for run in self.runs()))

    def used_features(self, split: str = "") -> list[tuple[str, str]]:
        """Returns each dataset with each of its backbones and imported features.

        Args:
            split: the split that they are used with; nothing for all splits.
        """
        if not self.experiment and not self.apply:
            return list(itertools.product(sorted(self.datasets), self.used_backbones()))
        runs = [run for run in self.runs() if run.split == (split or run.split)]
        feature_sets = [(run.dataset, self.feature_sets[run.feature_set]) for run in runs]
        used = {
            (dataset, name)
            for dataset, feature_set in feature_sets
            for name in feature_set.names.values()
        }
        if not split:
            used |= {
                (entry.dataset, features)
                for name, entry in self.apply.items()
                for features in self.features_of_applied(name).values()
            }
        return sorted(used)

    def used_backbones(self) -> list[str]:
        """Returns the names of the backbones and imported features that are used."""
        if not self.experiment and not self.apply:
            return sorted({*self.backbones, *self.imported})
        feature_sets = [self.feature_sets[name] for name in self.used_names("feature_sets")]
        used = {name for chosen in feature_sets for name in chosen.names.values()}
        return sorted(used.union(*(self.features_of_applied(name).values() for name in self.apply)))

    def used_features_of_split(self, split: str, dataset: str = "") -> list[str]:
        """Returns the names of the backbones and imported features that a split is used with.

        Args:
            split: name of the split.
            dataset: the dataset whose features they are; nothing for all datasets.
        """
        used = self.used_features(split)
        return sorted({name for owner, name in used if owner == (dataset or owner)})

    def used_feature_sets_of_split(self, split: str, dataset: str) -> dict[str, tuple[str, ...]]:
        """Returns the feature sets that a dataset's split is used with, and what is in each."""
        runs = [run for run in self.runs() if (run.split, run.dataset) == (split, dataset)]
        names = sorted({run.feature_set for run in runs})
        return {name: tuple(self.feature_sets[name].names.values()) for name in names}

    def used_text_embeddings_of_split(self, split: str, dataset: str) -> list[str]:
        """Returns the names of the text embeddings that a dataset's split is used with."""
        runs = [run for run in self.runs() if (run.split, run.dataset) == (split, dataset)]
        return sorted({run.text_embedding for run in runs})

    def possibly_pretrained(self, split: str) -> list[str]:
        """Returns the backbones and imported features that may know classes of a split."""
        excluded = self.splits[split].settings.backbones_to_exclude()
        return [
            name
            for name in sorted({*excluded, *self.used_features_of_split(split)})
            if name in self.imported or _may_know_classes(self.backbones[name].settings)
        ]

    def pretraining_lists(self, split: str) -> list[Path]:
        """Returns the files that say which classes the backbones of a split were trained on."""
        files = [
            self.backbones[name].settings.pretraining_classes
            for name in self.possibly_pretrained(split)
            if name in self.backbones
        ]
        return sorted({Path(file).expanduser() for file in files if file})

    def datasets_with_media(self) -> list[str]:
        """Returns the datasets from whose media features are extracted."""
        used = self.used_features()
        return sorted({dataset for dataset, name in used if name in self.backbones})


def _may_know_classes(settings: WeightsSettings) -> bool:
    return not settings.is_random or bool(settings.pretraining_classes)
