"""Made-up results of the size of the paper's whole table: 16 rows with 5 seeds, nothing trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from avca_pipeline.artifacts import (
    audits,
    features,
    fetched,
    manifest,
    predictions,
    scores,
    training,
)
from avca_pipeline.artifacts.features import Features
from avca_pipeline.artifacts.fetched import OK, REJECTED, FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.artifacts.run import Run
from avca_pipeline.artifacts.scores import Accuracies, Choice, ClassAccuracy, Embeddings
from avca_pipeline.artifacts.split import BuiltSplit, SplitClip
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.evaluation.ranking import predictions_of
from avca_pipeline.leakage.split_checks import SplitUnderAudit, audit_split
from avca_pipeline.requests import ReportedDataset, ReportedRun, ReportRequest
from avca_pipeline.stages import report
from tests.builders import VALIDATION, history_of, report_files, scores_of

MODELS = (
    "ale", "apn", "avca", "avgzslnet", "cjme", "clipclap", "devise", "fvaegan", "sje", "tcaf",
    "avca-without-cross-attention", "avca-without-reconstruction", "avca-without-decoders",
    "avca-of-a-very-long-name-with-many-parts", "zero_shot", "zero_shot_large",
)  # fmt: skip
BEST = "tcaf"
"""Answers almost always right; the others do not."""
SEEDS = range(5)
CANDIDATES = ("learning_rate=0.001", "learning_rate=0.003", "learning_rate=0.01")
HOSTILE = (
    "<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", "=cmd()|'/C calc'!A1",
    "a\x1b[31mb\u202egnp.c", "&amp; \"quoted\" 'name'", "javascript:alert(1)", "{{ 7 * 7 }}",
    "اَلْعَرَبِيَّةُ", "打太極拳", "PlayingAnInstrumentWith" + "AVeryLongNameWithoutAnySpace" * 3,
)  # fmt: skip
"""Names that a page, a spreadsheet program or a narrow screen may get wrong."""


class BigResults:
    """The results in a folder.

    Attributes:
        page: the report.
        names: of the classes.
    """

    def __init__(self, root: Path, num_classes: int = 40, num_clips: int = 120) -> None:
        self.root, self.page = root, root / "report.html"
        self.names = [*HOSTILE, *(f"class number {n}" for n in range(num_classes - len(HOSTILE)))]
        self.is_unseen = np.arange(num_classes) % 3 == 0
        self.clips = [
            Clip(f"{n}-{self.names[n % num_classes]}", f"source {n}", self.names[n % num_classes],
                 "clip.mp4")
            for n in range(num_clips)
        ]  # fmt: skip
        self.clips = [manifest.storable(clip) for clip in self.clips]
        self._dataset()
        runs = [Run("big", "main", "c3d-vggish", "word2vec", m, s) for m in MODELS for s in SEEDS]
        for run in runs:
            self._run(run)
        self._report(runs)

    def _dataset(self) -> None:
        folder = self.root / "big"
        manifest.write(folder / "manifest.csv", self.clips)
        ids = [clip.clip_id for clip in self.clips]
        fetched.write(
            folder / "fetched/00000-of-00001.csv",
            [FetchedClip(ids[0], REJECTED, "missing file: <b>gone</b>"),
             *(FetchedClip(one, OK, path="clip.mp4") for one in ids[1:])],
        )  # fmt: skip
        ones = np.ones(len(ids) - 1)
        value = Features(ids[1:], np.ones((len(ids) - 1, 2)), ones, ones > 1)
        features.write(folder / "features/c3d.h5", value)
        unseen = {name for name, kind in zip(self.names, self.is_unseen, strict=True) if kind}
        rows = [
            SplitClip(clip.clip_id, clip.class_name, clip.source_id,
                      "test_unseen" if clip.class_name in unseen else "test_seen")
            for clip in self.clips
        ]  # fmt: skip
        audit = audit_split(SplitUnderAudit(self.clips, BuiltSplit(rows, {})))
        audits.write_split_audit(folder / "splits/main.audit.json", audit)
        nothing = audits.DataAudit(passed=True, checks=[], coverage=audits.Coverage({}, {}))
        audits.write_data_audit(folder / "audits/main.json", nothing)

    def _run(self, run: Run) -> None:
        folder = self.root / run.path
        rng = np.random.default_rng([MODELS.index(run.model), run.seed])
        order = np.argsort(self.names)
        names = [self.names[index] for index in order]
        centres = 3 * rng.normal(size=(len(names), 8))
        labels = [names.index(clip.class_name) for clip in self.clips]
        scores.write_embeddings(
            folder / "embeddings.h5",
            Embeddings(
                [clip.clip_id for clip in self.clips], [names[label] for label in labels],
                centres[labels] + rng.normal(size=(len(labels), 8)),
                names, self.is_unseen[order], centres,
            ),
        )  # fmt: skip
        noise = 0.2 if run.model == BEST else 4.0
        clips = centres[labels] + noise * rng.normal(size=(len(labels), 8))
        distances = np.linalg.norm(clips[:, None] - centres, axis=2)
        answers = predictions_of(
            Distances(distances), [clip.clip_id for clip in self.clips], names,
            np.array(labels), self.is_unseen[order], bias=0.3,
        )  # fmt: skip
        predictions.write(folder / "predictions.csv", 0.3, answers)
        for candidate in CANDIDATES:
            hms = np.minimum(np.cumsum(rng.random(14)) / 14, 1)
            path = folder / "stage1" / candidate / "history.json"
            training.write_history(path, history_of(candidate, 13, *map(float, hms)))
        kinds = self.is_unseen[order]
        right = (distances + np.where(kinds, 0, 0.3)).argmin(axis=1) == labels
        shares = np.bincount(labels, right) / np.bincount(labels)
        seen, unseen = float(shares[~kinds].mean()), float(shares[kinds].mean())
        counts = np.bincount(labels, minlength=len(names))
        provenance = scores_of().provenance
        video = provenance.video | {"weights": "sports1m"}
        value = scores_of(
            run,
            scores=Accuracies(
                seen, unseen, 2 * seen * unseen / (seen + unseen), min(unseen + 0.2, 1.0)
            ),
            chance=Accuracies(0.025, 0.025, 0.036, 0.07),
            bias=0.3,
            selection=Choice(CANDIDATES[1], 13, VALIDATION, 3, is_on_test=False),
            per_class=tuple(
                ClassAccuracy(name, bool(kind), int(count), 0.5, 0.5 if kind else None)
                for name, kind, count in zip(names, self.is_unseen[order], counts, strict=True)
            ),
            provenance=replace(
                provenance, video=video, audio=video | {"name": "vggish"}, model="avca",
                settings={"learning_rate": 0.001, "note": HOSTILE[0]},
            ),
        )  # fmt: skip
        scores.write(folder / "scores.json", value)

    def _report(self, runs: list[Run]) -> None:
        folder, root = self.root / "big", self.root
        request = ReportRequest(
            runs=[ReportedRun(run=run, candidates=CANDIDATES) for run in runs],
            datasets=[
                ReportedDataset(dataset="big", num_shards=1, features=["c3d"], splits=["main"])
            ],
        )
        folders = [root / run.path for run in runs]
        files = report_files(
            scores=[one / "scores.json" for one in folders],
            embeddings=[one / "embeddings.h5" for one in folders],
            predictions=[one / "predictions.csv" for one in folders],
            histories=[
                one / "stage1" / name / "history.json" for one in folders for name in CANDIDATES
            ],
            audits=[folder / "splits/main.audit.json"],
            data_audits=[folder / "audits/main.json"],
            manifests=[folder / "manifest.csv"],
            fetched=[folder / "fetched/00000-of-00001.csv"],
            features=[folder / "features/c3d.h5"],
        )
        report.run(request, files, self.page, root / "table.csv")
