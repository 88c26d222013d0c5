"""What each stage is asked for: one request for each stage, typed, and passed to it as JSON.

`avca_pipeline.planning.requests` builds them from the config, and the command of the stage parses
them. A request holds all that decides the result of the stage but for the files that it reads, and
the names of what these files belong to: no stage reads a name back out of a path. Devices, numbers
of workers and sizes of batches are no part of it: they change how fast a result comes, not what it
is. When a key of a request changes, the result is made anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from avca_pipeline.artifacts.run import Run
from avca_pipeline.config import ImportedFeatures
from avca_pipeline.errors import PipelineError
from avca_pipeline.media import Limits
from avca_pipeline.settings import PluginSettings, Seed

Name = TypeVar("Name")


class Request(PluginSettings):
    """Base of every request: unknown keys are errors, values never change."""

    version: int = Field(default=0, ge=0)
    """Number of the stage's code: it grows when a change of the code changes results."""


class PluginUse(PluginSettings):
    """A plugin with its settings."""

    plugin: str
    """Name of the plugin."""
    package: str = ""
    """Package that registers the plugin, with its version; empty for a plugin of our own."""
    settings: dict[str, Any]
    """Settings of the plugin, all of them; the plugin says what they mean."""


class ManifestRequest(Request):
    """Asks ``manifest`` for the clips of a dataset."""

    plugin: str
    """Name of the dataset's plugin."""
    package: str = ""
    """Package that registers the plugin, with its version; empty for a plugin of our own."""
    settings: dict[str, Any]
    """Settings of the plugin, all of them; the plugin says what they mean."""
    num_shards: int = Field(ge=1)
    """Into how many shards the clips of the dataset are divided."""


class FetchRequest(Request):
    """Asks ``fetch`` for the media of a shard."""

    plugin: str
    """Name of the dataset's plugin."""
    package: str = ""
    """Package that registers the plugin, with its version; empty for a plugin of our own."""
    settings: dict[str, Any]
    """Settings of the plugin, all of them; the plugin says what they mean."""
    shard: str
    """Name of the shard, such as 00000-of-00002."""
    max_bytes: int = Field(ge=1)
    """Largest size of a media file, in bytes."""


class ExtractRequest(Request):
    """Asks ``extract`` for the features of a shard."""

    backbone: str
    """Name of the backbone in the config."""
    plugin: str
    """Name of the backbone's plugin."""
    package: str = ""
    """Package that registers the plugin, with its version; empty for a plugin of our own."""
    settings: dict[str, Any]
    """Settings of the plugin, all of them; the plugin says what they mean."""
    shard: str
    """Name of the shard, such as 00000-of-00002."""
    limits: Limits
    """What a clip may cost; one that costs more is rejected."""
    keep_windows: bool = False
    """Whether the features of each window are kept beside their mean."""


class ImportRequest(Request):
    """Asks ``import`` for the features of a shard, which were made elsewhere."""

    features: str
    """Name of the imported features in the config."""
    shard: str
    """Name of the shard, such as 00000-of-00002."""
    source: ImportedFeatures
    """Where the features are, and their modality."""


class GatherRequest(Request):
    """Asks ``gather`` for the features of all shards in one file."""

    features: str
    """Name of the backbone or imported features in the config."""
    num_shards: int = Field(ge=1)
    """Into how many shards the clips of the dataset are divided."""


class EmbedRequest(Request):
    """Asks ``embed`` for a vector of each class name."""

    plugin: str
    """Name of the text embedding's plugin."""
    package: str = ""
    """Package that registers the plugin, with its version; empty for a plugin of our own."""
    settings: dict[str, Any]
    """Settings of the plugin, all of them; the plugin says what they mean."""


class SplitRequest(Request):
    """Asks ``split`` for the partition of each clip."""

    split: str
    """Name of the split in the config."""
    plugin: str
    """Name of the split's plugin."""
    package: str = ""
    """Package that registers the plugin, with its version; empty for a plugin of our own."""
    settings: dict[str, Any]
    """Settings of the plugin, all of them; the plugin says what they mean."""
    backbones: dict[str, PluginUse | None]
    """Backbones that may have been trained on classes of the split, by name; nothing for
    imported features, whose weights are not known."""


class AuditRequest(Request):
    """Asks ``audit`` whether the media, features and text embeddings of a split leak."""

    split: str
    """Name of the split in the config."""
    plugin: str
    """Name of the split's plugin."""
    package: str = ""
    """Package that registers the plugin, with its version; empty for a plugin of our own."""
    settings: dict[str, Any]
    """Settings of the plugin, all of them; the plugin says what they mean."""
    max_missing: float = Field(ge=0, le=1)
    """Share of the clips that may be missing."""
    num_shards: int = Field(ge=1)
    """Into how many shards the clips of the dataset are divided."""
    features: tuple[str, ...]
    """Names of the backbones and imported features, in the order of their files."""
    feature_sets: dict[str, tuple[str, ...]]
    """Names of the feature sets, and which of ``features`` each has."""
    text_embeddings: tuple[str, ...]
    """Names of the text embeddings, in the order of their files."""


class TrainRequest(Request):
    """Asks ``train`` for the network of a candidate."""

    plugin: str
    """Name of the model's plugin."""
    package: str = ""
    """Package that registers the plugin, with its version; empty for a plugin of our own."""
    scaling: Literal["none", "standard"]
    """How features are scaled."""
    seed: Seed
    """Seed of the training."""
    candidates: dict[str, dict[str, Any]] = Field(min_length=1)
    """Hyper-parameters of each candidate, by name. Stage 1 gets one candidate. Stage 2 gets all
    of them and trains the selected one."""


class SelectRequest(Request):
    """Asks ``select`` for the candidate and the epoch with the best scores on validation."""

    candidates: tuple[str, ...] = Field(min_length=1)
    """Names of the candidates, in the order of their histories."""


class EvaluateRequest(Request):
    """Asks ``evaluate`` for the scores of a run."""

    run: Run
    """Names of the run."""
    video: str
    """Name of the video features in the config; empty where there are none."""
    audio: str
    """Name of the audio features in the config; empty where there are none."""


class NamedPlugin(PluginUse):
    """A plugin with its settings, and its name in the config."""

    name: str
    """Name in the config."""
    keep_windows: bool = False
    """Whether the features of each window are kept beside their mean."""


class ApplyRequest(Request):
    """Asks ``apply`` for the classes that the clips of a dataset are nearest to."""

    applied: str
    """Name of the entry under ``apply`` in the config."""
    num_shards: int = Field(ge=1)
    """Into how many shards the clips of the dataset are divided."""
    stored: str = ""
    """The folder of a run in other results, or a bundle; empty for a run of the config, whose files
    are given with ``--scores`` and so on, and for a set of encoders without training.
    """
    extract_version: int
    """Number of the code that made the features."""
    backbones: dict[str, NamedPlugin]
    """What makes the features of each modality."""
    text: PluginUse | None = None
    """What gives class names their vectors; nothing for ``stored``, which says it."""
    classes: tuple[str, ...] | None = None
    """Class names to choose among; nothing for those of the run, or of a file."""
    classes_file: str = ""
    """Text file with class names to choose among, one a line; empty for none."""
    top: int = Field(ge=1)
    """Number of classes in the ranking of each clip."""
    leave_out_seen: bool = False
    """Whether classes that the run was trained on are left out."""


class ReportedRun(PluginSettings):
    """A run, and the candidates among which it selected."""

    run: Run
    """Names of the run."""
    candidates: tuple[str, ...]
    """Names of its candidates."""


class ReportedDataset(PluginSettings):
    """A dataset, and what was made of it."""

    dataset: str
    """Name of the dataset in the config."""
    num_shards: int = Field(ge=0)
    """How many shards of media were fetched; 0 if all features are imported."""
    features: tuple[str, ...]
    """Names of its backbones and imported features."""
    splits: tuple[str, ...]
    """Names of the splits that it is used with."""
    applied: tuple[str, ...] = ()
    """Names of the entries under ``apply`` that classify its clips."""
    plugin: str = ""
    """Name of its plugin."""
    benchmark: str = ""
    """Published benchmark whose clips these are, where the plugin says so."""


class ReportRequest(Request):
    """Asks ``report`` for the page and the table, on all runs among the results.

    The files of each option of the command have the order of the names here: scores and embeddings
    that of ``runs``, histories that of the candidates of each run, manifests that of ``datasets``,
    and so on.
    """

    runs: tuple[ReportedRun, ...]
    """All runs of the config."""
    datasets: tuple[ReportedDataset, ...]
    """All datasets of the config."""
    thumbnails: bool = True
    """Whether clips are shown with a small picture."""
    found_runs: tuple[ReportedRun, ...] = ()
    """Runs of other configs among the results; their files come after those of ``runs``."""
    found_datasets: tuple[ReportedDataset, ...] = ()
    """Datasets of these runs, with what they use of them; their files come last, too."""
    left_out: tuple[str, ...] = ()
    """Paths of runs of other configs that are not complete, or out of date."""

    @property
    def all_runs(self) -> tuple[ReportedRun, ...]:
        """The runs of the config, and those of others."""
        return (*self.runs, *self.found_runs)

    @property
    def all_datasets(self) -> tuple[ReportedDataset, ...]:
        """The datasets of the config, and those of others; one may be among both."""
        return (*self.datasets, *self.found_datasets)


class ExportRequest(Request):
    """Asks ``export`` for a split, features and text embeddings in the published layout."""

    benchmark: str
    """Name of the benchmark: UCF, ActivityNet, VGGSound, or yours."""
    lists: Literal["main", "cls"]
    """Which of the published lists these are."""


def named_files(
    option: str, names: Sequence[Name], paths: Sequence[Path]
) -> list[tuple[Name, Path]]:
    """Returns each name of a request with its file.

    Args:
        option: of the command that the files were given with.
        names: in the request.
        paths: of the files, in the order of the names.

    Raises:
        PipelineError: there are more or fewer files than names.
    """
    if len(names) != len(paths):
        raise PipelineError(
            f"--{option}: the request names {len(names)} of them, found {len(paths)} files; "
            "give one file for each name, in the same order"
        )
    return list(zip(names, paths, strict=True))


def grouped_files(option: str, sizes: Sequence[int], paths: Sequence[Path]) -> list[list[Path]]:
    """Returns the files in consecutive groups.

    Args:
        option: of the command that the files were given with.
        sizes: how many files each group has.
        paths: of all files.

    Raises:
        PipelineError: there are more or fewer files than in all groups.
    """
    ends = list(itertools.accumulate(sizes, initial=0))
    if ends[-1] != len(paths):
        raise PipelineError(
            f"--{option}: the request stands for {ends[-1]} files, found {len(paths)}; "
            "give all of them, in the order of the request"
        )
    return [list(paths[start:end]) for start, end in itertools.pairwise(ends)]
