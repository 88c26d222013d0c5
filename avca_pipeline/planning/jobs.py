"""All jobs of a config: what each one reads and makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from avca_pipeline.artifacts.manifest import shard_names
from avca_pipeline.artifacts.records import CONTENT, Expected
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.config import Config, Run, applied
from avca_pipeline.planning.digests import Digests
from avca_pipeline.planning.facts import Facts
from avca_pipeline.planning.found import Found
from avca_pipeline.planning.job import File, Job
from avca_pipeline.planning.requests import Requests, names_of, run_of


class Jobs:
    """The jobs of a config, each made when it is asked for.

    Args:
        config: the config.
        versions: of the stages.
        digests: of files of the user.
        facts: file in which the process that planned the jobs wrote what it found in the files of
            the user; without it they are read here.
    """

    def __init__(
        self,
        config: Config,
        versions: Mapping[str, int],
        digests: Digests,
        facts: Path | None = None,
    ) -> None:
        self.config, self.digests = config, digests
        self.facts = Facts(config, digests, facts)
        self.request = Requests(config, versions, self.found)
        self._jobs: dict[tuple[str, ...], Job] = {}

    def __call__(self, rule: str, *names: str) -> Job:
        """Returns the job of a rule with these values of its wildcards, in the rule's order."""
        key = (rule, *names)
        if key not in self._jobs:
            self._jobs[key] = replace(getattr(self, f"_{rule}")(*names), names=names)
        return self._jobs[key]

    def __iter__(self) -> Iterator[Job]:
        """Yields all jobs of the config; each one after those whose results it reads."""
        for dataset in self.config.used_names("datasets"):
            yield self("manifest", dataset)
            if dataset in self.config.datasets_with_media():
                for shard in self._shards(dataset):
                    yield self("fetch", dataset, shard)
        for dataset, backbone in self.config.used_features():
            for shard in self._shards(dataset):
                yield self._features(dataset, backbone, shard)
            yield self("gather", dataset, backbone)
        for dataset, split in self.config.used_splits():
            for name in self.config.used_text_embeddings_of_split(split, dataset):
                yield self("embed", dataset, name)
            yield self("split", dataset, split)
            yield self("audit", dataset, split)
        for run in self.config.runs():
            yield from self._of_run(run)
        for name, entry in self.config.apply.items():
            yield self("apply", entry.dataset, name)
        if self.config.experiment or self.config.apply:
            yield self("report")
        for run in self.config.runs():
            yield self("export", run.dataset, run.split, run.feature_set, run.text_embedding)

    def _of_run(self, run: Run) -> Iterator[Job]:
        names = names_of(run)
        for candidate in self.config.candidates(run):
            yield self("train_stage1", *names, candidate)
        for rule in ("select", "train_stage2", "evaluate"):
            yield self(rule, *names)

    def found(self) -> Found:
        """Returns the runs of other configs among the results."""
        return self.facts.found(self.request.trainings)

    def settings(self, rule: str, *names: str) -> str:
        """Returns the request of a job's stage as canonical JSON; needs no file of the user."""
        return canonical_json(self.request(rule, *names).model_dump(mode="json"))

    def expected(self, job: Job) -> Expected:
        """Returns the recipes of a job's result and inputs, which the job checks."""
        return Expected(Path(self.config.results), job.files[0].recipe, job.reads)

    def _shards(self, dataset: str) -> list[str]:
        return shard_names(self.config.datasets[dataset].num_shards)

    def _features(self, dataset: str, backbone: str, shard: str) -> Job:
        rule = "import" if backbone in self.config.imported else "extract"
        return self(rule, dataset, backbone, shard)

    def _manifest(self, dataset: str) -> Job:
        settings = self.settings("manifest", dataset)
        contents = self.facts.lists(dataset, settings)
        return Job("manifest", tuple(contents), settings, contents=contents)

    def _clips(self, dataset: str, shard: str = "") -> dict[str, tuple[File, ...]]:
        path = f"{dataset}/shards/{shard}.csv" if shard else f"{dataset}/manifest.csv"
        return {"clips": (File(path, CONTENT + self("manifest", dataset).contents[path]),)}

    def _fetch(self, dataset: str, shard: str) -> Job:
        return Job(
            "fetch",
            (f"{dataset}/fetched/{shard}.csv",),
            self.settings("fetch", dataset, shard),
            self._clips(dataset, shard),
        )

    def _fetched(self, dataset: str) -> tuple[File, ...]:
        if dataset not in self.config.datasets_with_media():
            return ()
        return tuple(
            file for shard in self._shards(dataset) for file in self("fetch", dataset, shard).files
        )

    def _extract(self, dataset: str, backbone: str, shard: str) -> Job:
        weights = self.config.backbones[backbone].settings
        return Job(
            "extract",
            (f"{dataset}/features/{backbone}/{shard}.h5",),
            self.settings("extract", dataset, backbone, shard),
            self._clips(dataset, shard) | {"fetched": self("fetch", dataset, shard).files},
            self.facts.digest(
                f"weights of {backbone}",
                lambda: [
                    path
                    for key, path in weights.local_files().items()
                    if key != "pretraining_classes"
                ],
            ),
        )

    def _import(self, dataset: str, backbone: str, shard: str) -> Job:
        chosen = self.config.imported[backbone]
        return Job(
            "import",
            (f"{dataset}/features/{backbone}/{shard}.h5",),
            self.settings("import", dataset, backbone, shard),
            self._clips(dataset, shard),
            self.facts.digest(f"features of {backbone}", chosen.files),
        )

    def _gather(self, dataset: str, backbone: str) -> Job:
        shards = [self._features(dataset, backbone, shard) for shard in self._shards(dataset)]
        return Job(
            "gather",
            (f"{dataset}/features/{backbone}.h5",),
            self.settings("gather", dataset, backbone),
            {
                "features": tuple(file for job in shards for file in job.files),
                "fetched": self._fetched(dataset) if backbone in self.config.backbones else (),
            },
        )

    def _embed(self, dataset: str, text_embedding: str) -> Job:
        entry = self.config.text_embeddings[text_embedding]
        return Job(
            "embed",
            (f"{dataset}/labels/{text_embedding}.h5",),
            self.settings("embed", dataset, text_embedding),
            self._clips(dataset),
            self.facts.digest(
                f"vectors of {text_embedding}", lambda: entry.module.inputs(entry.settings)
            ),
        )

    def _split(self, dataset: str, split: str) -> Job:
        entry = self.config.splits[split]
        name = f"{dataset}/splits/{split}"
        return Job(
            "split",
            (f"{name}.csv", f"{name}.audit.json"),
            self.settings("split", dataset, split),
            self._clips(dataset),
            self.facts.digest(
                f"lists of {split}",
                lambda: [
                    *entry.module.inputs(entry.settings),
                    *self.config.pretraining_lists(split),
                ],
            ),
        )

    def _audit(self, dataset: str, split: str) -> Job:
        gathered = [
            self("gather", dataset, n) for n in self.config.used_features_of_split(split, dataset)
        ]
        labels = [
            self("embed", dataset, name)
            for name in self.config.used_text_embeddings_of_split(split, dataset)
        ]
        return Job(
            "audit",
            (f"{dataset}/audits/{split}.json",),
            self.settings("audit", dataset, split),
            {
                "split": self("split", dataset, split).files[:1],
                "fetched": self._fetched(dataset),
                "features": tuple(file for job in gathered for file in job.files),
                "labels": tuple(file for job in labels for file in job.files),
            },
        )

    def _problem(
        self, dataset: str, split: str, feature_set: str, text_embedding: str
    ) -> dict[str, tuple[File, ...]]:
        """Returns what every job reads that works on features, labels and a split."""
        chosen = self.config.feature_sets[feature_set]
        return {
            "split": self("split", dataset, split).files[:1],
            "labels": self("embed", dataset, text_embedding).files,
        } | {
            modality: self("gather", dataset, name).files for modality, name in chosen.names.items()
        }

    def _train_stage1(self, *names: str) -> Job:
        *of_run, candidate = names
        folder = f"{_folder(of_run)}/stage1/{candidate}"
        return Job(
            "train_stage1",
            (f"{folder}/checkpoint.pt", f"{folder}/history.json"),
            self.settings("train_stage1", *names),
            self._problem(*of_run[:4]),
        )

    def _histories(self, *names: str) -> tuple[File, ...]:
        return tuple(
            self("train_stage1", *names, candidate).files[1]
            for candidate in self.config.candidates(run_of(*names))
        )

    def _select(self, *names: str) -> Job:
        inputs = {"histories": self._histories(*names)}
        return Job(
            "select", (f"{_folder(names)}/selection.json",), self.settings("select", *names), inputs
        )

    def _train_stage2(self, *names: str) -> Job:
        folder = _folder(names)
        return Job(
            "train_stage2",
            (f"{folder}/stage2.pt", f"{folder}/stage2.history.json"),
            self.settings("train_stage2", *names),
            self._problem(*names[:4]) | {"selection": self("select", *names).files},
        )

    def _evaluate(self, *names: str) -> Job:
        folder = _folder(names)
        return Job(
            "evaluate",
            tuple(
                f"{folder}/{name}" for name in ("scores.json", "embeddings.h5", "predictions.csv")
            ),
            self.settings("evaluate", *names),
            self._problem(*names[:4])
            | {
                "checkpoint": self("train_stage2", *names).files[:1],
                "selection": self("select", *names).files,
            },
        )

    def _apply(self, dataset: str, name: str) -> Job:
        gathered = self.config.features_of_applied(name)
        inputs = self._clips(dataset) | {"fetched": self._fetched(dataset)}
        for modality, features in gathered.items():
            inputs[modality] = self("gather", dataset, features).files
        run = self.config.run_of_applied(name)
        if run is not None:
            names = names_of(run)
            inputs["scores"] = self("evaluate", *names).files[:1]
            inputs["checkpoint"] = self("train_stage2", *names).files[:1]
            inputs["labels"] = self("embed", run.dataset, run.text_embedding).files
            if applied.looks_at_training_clips(self.config, run):
                trained = self._problem(*names[:4])
                inputs["split"] = trained["split"]
                inputs["trained_on"] = tuple(
                    file
                    for modality in self.config.feature_sets[run.feature_set].names
                    for file in trained[modality]
                )
        return Job(
            "apply",
            (f"{dataset}/predictions/{name}.csv",),
            self.settings("apply", dataset, name),
            inputs,
            self.facts.digest(f"applied {name}", lambda: applied.files_of(self.config, name)),
        )

    def _report(self) -> Job:
        runs = [names_of(run) for run in self.config.runs()]
        # All in the order in which the request has the names.
        datasets = self.request.report().datasets
        splits = [(part.dataset, split) for part in datasets for split in part.splits]
        features = [(part.dataset, name) for part in datasets for name in part.features]
        inputs = {
            "scores": [self("evaluate", *names).files[0] for names in runs],
            "embeddings": [self("evaluate", *names).files[1] for names in runs],
            "predictions": [self("evaluate", *names).files[2] for names in runs],
            "histories": [file for names in runs for file in self._histories(*names)],
            "audits": [file for names in splits for file in self("split", *names).files[1:]],
            "data_audits": [file for names in splits for file in self("audit", *names).files],
            "manifests": [self._clips(part.dataset)["clips"][0] for part in datasets],
            "fetched": [file for part in datasets for file in self._fetched(part.dataset)],
            "features": [file for names in features for file in self("gather", *names).files],
            "applied": [
                file
                for part in datasets
                for name in part.applied
                for file in self("apply", part.dataset, name).files
            ],
        }
        # What this config makes too may have another recipe by then than it has now.
        own = {file.path: file for option in inputs for file in inputs[option]}
        for option, files in self.found().files().items():
            inputs[option] += [own.get(file.path, file) for file in files]
        return Job(
            "report",
            ("report.html", "table.csv", "report_files"),
            self.settings("report"),
            {option: tuple(files) for option, files in inputs.items()},
        )

    def _export(self, *names: str) -> Job:
        dataset, split, feature_set, text_embedding = names
        return Job(
            "export",
            (f"{dataset}/official/{split}/{feature_set}/{text_embedding}",),
            self.settings("export", *names),
            self._problem(*names),
        )


def _folder(names: Sequence[str]) -> str:
    return run_of(*names).path
