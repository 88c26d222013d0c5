"""Builds the request of each job from the config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from avca_pipeline import registry
from avca_pipeline.artifacts.run import ALONE, BOTH, Modalities
from avca_pipeline.config import Config, Run
from avca_pipeline.config.entries import Entry
from avca_pipeline.media import Limits
from avca_pipeline.planning.found import Found, training_of
from avca_pipeline.registry import Kind
from avca_pipeline.requests import (
    ApplyRequest,
    AuditRequest,
    EmbedRequest,
    EvaluateRequest,
    ExportRequest,
    ExtractRequest,
    FetchRequest,
    GatherRequest,
    ImportRequest,
    ManifestRequest,
    NamedPlugin,
    PluginUse,
    ReportedDataset,
    ReportedRun,
    ReportRequest,
    Request,
    SelectRequest,
    SplitRequest,
    TrainRequest,
)


class Requests:
    """The requests of a config's jobs; needs no file of the user.

    Args:
        config: the config.
        versions: name of each stage to the number of its code.
        find: returns the runs of other configs among the results.
    """

    def __init__(
        self, config: Config, versions: Mapping[str, int], find: Callable[[], Found] = Found
    ) -> None:
        self.config, self.versions, self.find = config, versions, find

    def __call__(self, rule: str, *names: str) -> Request:
        """Returns the request of a rule's job.

        Args:
            rule: name of the rule.
            names: values of its wildcards, in the rule's order.
        """
        build: Callable[..., Request] = getattr(self, "import_" if rule == "import" else rule)
        return build(*names)

    def manifest(self, dataset: str) -> ManifestRequest:
        """Returns the request for the clips of a dataset."""
        return ManifestRequest(
            version=self.versions["manifest"],
            num_shards=self.config.datasets[dataset].num_shards,
            **_plugin("datasets", self.config.datasets[dataset]),
        )

    def fetch(self, dataset: str, shard: str) -> FetchRequest:
        """Returns the request for the media of a shard."""
        return FetchRequest(
            version=self.versions["fetch"],
            shard=shard,
            max_bytes=self.config.limits.max_bytes,
            **_plugin("datasets", self.config.datasets[dataset]),
        )

    def extract(self, dataset: str, backbone: str, shard: str) -> ExtractRequest:
        """Returns the request for the features of a shard."""
        limits = self.config.limits
        return ExtractRequest(
            version=self.versions["extract"],
            backbone=backbone,
            shard=shard,
            limits=Limits(limits.max_pixels, limits.max_duration_s),
            keep_windows=self.config.backbones[backbone].keep_windows,
            **_plugin("backbones", self.config.backbones[backbone]),
        )

    def import_(self, dataset: str, features: str, shard: str) -> ImportRequest:
        """Returns the request for the features of a shard that were made elsewhere."""
        return ImportRequest(
            version=self.versions["import"],
            features=features,
            shard=shard,
            source=self.config.imported[features],
        )

    def gather(self, dataset: str, features: str) -> GatherRequest:
        """Returns the request for the features of all shards in one file."""
        return GatherRequest(
            version=self.versions["gather"],
            features=features,
            num_shards=self.config.datasets[dataset].num_shards,
        )

    def embed(self, dataset: str, text_embedding: str) -> EmbedRequest:
        """Returns the request for a vector of each class."""
        return EmbedRequest(
            version=self.versions["embed"],
            **_plugin("text_embeddings", self.config.text_embeddings[text_embedding]),
        )

    def split(self, dataset: str, split: str) -> SplitRequest:
        """Returns the request for a split."""
        backbones = self.config.backbones
        return SplitRequest(
            version=self.versions["split"],
            split=split,
            backbones={
                name: PluginUse(**_plugin("backbones", backbones[name]))
                if name in backbones
                else None
                for name in self.config.possibly_pretrained(split)
            },
            **_plugin("splits", self.config.splits[split]),
        )

    def audit(self, dataset: str, split: str) -> AuditRequest:
        """Returns the request for the audit of a split's data."""
        return AuditRequest(
            version=self.versions["audit"],
            split=split,
            max_missing=self.config.datasets[dataset].max_missing,
            num_shards=self.config.datasets[dataset].num_shards,
            features=tuple(self.config.used_features_of_split(split, dataset)),
            feature_sets=self.config.used_feature_sets_of_split(split, dataset),
            text_embeddings=tuple(self.config.used_text_embeddings_of_split(split, dataset)),
            **_plugin("splits", self.config.splits[split]),
        )

    def train_stage1(self, *names: str) -> TrainRequest:
        """Returns the request for the training of one candidate."""
        *names_of_run, candidate = names
        return self._train(run_of(*names_of_run), candidate)

    def train_stage2(self, *names: str) -> TrainRequest:
        """Returns the request for the training of the selected candidate."""
        run = run_of(*names)
        return self._train(run, *self.config.candidates(run))

    def _train(self, run: Run, *candidates: str) -> TrainRequest:
        plugin = self.config.models[run.model].plugin
        settings = self.config.candidates(run)
        return TrainRequest(
            version=self.versions["train"],
            plugin=plugin,
            package=registry.package("models", plugin),
            scaling=self.config.feature_sets[run.feature_set].scaling,
            seed=run.seed,
            candidates={name: settings[name].model_dump(mode="json") for name in candidates},
        )

    def select(self, *names: str) -> SelectRequest:
        """Returns the request for the selection among a run's candidates."""
        candidates = tuple(self.config.candidates(run_of(*names)))
        return SelectRequest(version=self.versions["select"], candidates=candidates)

    def evaluate(self, *names: str) -> EvaluateRequest:
        """Returns the request for the scores of a run."""
        run = run_of(*names)
        chosen = self.config.feature_sets[run.feature_set]
        return EvaluateRequest(
            version=self.versions["evaluate"], run=run, video=chosen.video, audio=chosen.audio
        )

    def apply(self, dataset: str, name: str) -> ApplyRequest:
        """Returns the request for the classes that the clips of a dataset are nearest to."""
        config, entry = self.config, self.config.apply[name]
        text = config.text_embedding_of_applied(name)
        is_file = isinstance(entry.classes, Path)
        return ApplyRequest(
            version=self.versions["apply"],
            applied=name,
            num_shards=config.datasets[dataset].num_shards,
            stored="" if text or entry.run is None else str(entry.run),
            extract_version=self.versions["extract"],
            backbones={
                modality: NamedPlugin(
                    name=features,
                    keep_windows=config.backbones[features].keep_windows,
                    **_plugin("backbones", config.backbones[features]),
                )
                for modality, features in config.features_of_applied(name).items()
            },
            text=PluginUse(**_plugin("text_embeddings", config.text_embeddings[text]))
            if text
            else None,
            classes=None if isinstance(entry.classes, Path) else entry.classes,
            classes_file=str(entry.classes) if is_file else "",
            top=entry.top,
            leave_out_seen=entry.leave_out_seen,
        )

    def trainings(self) -> dict[str, str]:
        """Returns the path of each run, and what the runs of a row have in common."""
        return {
            run.path: training_of(self.train_stage2(*names_of(run)).model_dump(mode="json"))
            for run in self.config.runs()
        }

    def report(self) -> ReportRequest:
        """Returns the request for the report on all runs."""
        config, found = self.config, self.find()
        return ReportRequest(
            found_runs=tuple(found.runs),
            found_datasets=tuple(found.datasets),
            left_out=tuple(found.left_out),
            version=self.versions["report"],
            runs=tuple(
                ReportedRun(run=run, candidates=tuple(config.candidates(run)))
                for run in config.runs()
            ),
            datasets=tuple(
                ReportedDataset(
                    dataset=dataset,
                    num_shards=config.datasets[dataset].num_shards
                    if dataset in config.datasets_with_media()
                    else 0,
                    features=tuple(
                        name for owner, name in config.used_features() if owner == dataset
                    ),
                    splits=tuple(name for owner, name in config.used_splits() if owner == dataset),
                    applied=tuple(config.applied_to(dataset)),
                    plugin=config.datasets[dataset].plugin,
                    benchmark=getattr(config.datasets[dataset].settings, "benchmark", ""),
                )
                for dataset in config.used_names("datasets")
            ),
            thumbnails=config.report.thumbnails,
        )

    def export(self, dataset: str, split: str, *_: str) -> ExportRequest:
        """Returns the request for the published layout of what a split is used with."""
        benchmark, lists = self.config.splits[split].settings.published_lists(dataset)
        return ExportRequest(version=self.versions["export"], benchmark=benchmark, lists=lists)


def names_of(run: Run) -> tuple[str, ...]:
    """Returns the values of the wildcards of a run's rules, in their order."""
    return (
        run.dataset, run.split, run.feature_set, run.text_embedding, run.model_and_modalities,
        str(run.seed),
    )  # fmt: skip


def run_of(*names: str) -> Run:
    """Returns a run by the values of the wildcards of its rules, in their order."""
    dataset, split, feature_set, text_embedding, model_and_modalities, seed = names
    model, _, alone = model_and_modalities.partition(ALONE)
    modalities: Modalities = "video" if alone == "video" else "audio" if alone else BOTH
    return Run(dataset, split, feature_set, text_embedding, model, int(seed), modalities)


def _plugin(kind: Kind, entry: Entry[Any, Any]) -> dict[str, Any]:
    return {
        "plugin": entry.plugin,
        "package": registry.package(kind, entry.plugin),
        "settings": entry.settings.model_dump(mode="json"),
    }
