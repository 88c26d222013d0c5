"""Classifies videos with what a run has left, or with a method that needs no training.

Decoding, windows, features, scaling, text embedding, bias and arithmetic are those of the run: a
clip of the test gets exactly the distances with which it was scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from avca_pipeline import registry
from avca_pipeline.artifacts.bundle import Bundle, BundledBackbone
from avca_pipeline.artifacts.scores import Scores
from avca_pipeline.errors import PipelineError, abbreviated, one_line
from avca_pipeline.evaluation.device_clips import EvaluationSet
from avca_pipeline.evaluation.labelled_clips import Scaling
from avca_pipeline.evaluation.scoring import predict
from avca_pipeline.extraction.encoded_clip import NOTHING_DECODED
from avca_pipeline.fetching.weights import RANDOM
from avca_pipeline.inference.class_vectors import matched, new_vectors, same_package
from avca_pipeline.inference.predictions import Part, Predictions, answers, is_positive
from avca_pipeline.inference.stretches import stretches
from avca_pipeline.inference.trained_network import rebuilt
from avca_pipeline.inference.video_features import Environment, encode_videos
from avca_pipeline.media import Limits
from avca_pipeline.media.container import probe
from avca_pipeline.models import ClassKnowledge, Dims, defaults
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.runtime.sealing import lacks_secrets
from avca_pipeline.transformer_models.settings import NamedModel


class TrainedRun:
    """A trained network with all that turns videos and class names into its inputs.

    Args:
        bundle: of a run.
        environment: where and how is computed.
        weights: name of a backbone to the file of its weights, where it lies elsewhere than on the
            machine of the training.

    Raises:
        PipelineError: a backbone or a method is not of the version that the run was made with.
    """

    def __init__(
        self, bundle: Bundle, environment: Environment, weights: Mapping[str, str | Path]
    ) -> None:
        described = bundle.description
        self.bundle, self.environment = bundle, environment
        same_package("models", described.model, described.model_package)
        unknown = set(weights) - {backbone.name for backbone in described.backbones.values()}
        if unknown:
            known = ", ".join(backbone.name for backbone in described.backbones.values())
            raise PipelineError(f"weights: no backbone {sorted(unknown)[0]!r} in the run: {known}")
        self.backbones = {
            modality: _placed(backbone, weights.get(backbone.name))
            for modality, backbone in described.backbones.items()
        }
        for backbone in self.backbones.values():
            same_package("backbones", backbone.plugin, backbone.package)
            if backbone.version != environment.extract_version:
                raise PipelineError(
                    f"backbone {backbone.name}: the run was trained on features of version "
                    f"{backbone.version} of the extraction, this release has "
                    f"{environment.extract_version}; run the workflow again, or use the release "
                    "that made the run"
                )

    def __repr__(self) -> str:
        named = ", ".join(f"{part.name} ({kind})" for kind, part in self.backbones.items())
        return (
            f"<{one_line(self.bundle.description.name)}: {one_line(named)}, "
            f"{len(self.seen_classes)} seen and {len(self.unseen_classes)} unseen classes>"
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that the run was tested on, seen and unseen."""
        return self.bundle.description.class_names

    @property
    def seen_classes(self) -> tuple[str, ...]:
        """The classes that the network was trained on."""
        return self._classes(is_unseen=False)

    @property
    def unseen_classes(self) -> tuple[str, ...]:
        """The classes of the test that no clip was trained on."""
        return self._classes(is_unseen=True)

    @property
    def bias(self) -> float:
        """What is added to the distances of seen classes."""
        return self.bundle.description.bias

    @property
    def scores(self) -> Scores | None:
        """The scores of the run; nothing for a method that was not scored."""
        return self.bundle.typed_scores()

    def predict(
        self,
        videos: str | Path | Sequence[str | Path],
        *,
        classes: Sequence[str] | None = None,
        top: int | None = 5,
        timeline: bool = False,
    ) -> Predictions:
        """Classifies videos.

        Args:
            videos: one or several paths; ``clip.mp4#t=2.5,7`` is a stretch of a file.
            classes: names to choose among; those of the run unless stated. Names that the run does
                not know are embedded as its own were, and count as unseen.
            top: how many classes the ranking of each video has; ``None`` for all.
            timeline: answer for each stretch of a video instead of the whole. The stretches are the
                windows of the backbone that has fewer of them; see `stretches`.

        Returns:
            An answer for each video or stretch, in their order; a video that cannot be used has a
            reason.

        Raises:
            PipelineError: a class name has no vector; weights are missing or other ones; ``top``
                is no whole number from 1 on.
        """
        if top is not None and not is_positive(top):
            raise PipelineError(
                f"top: expected a whole number from 1 on, or None for all, found {abbreviated(top)}"
            )
        names, vectors = self._classes_asked_for(classes)
        parts = self._parts(videos, timeline=timeline)
        usable = [row for row, part in enumerate(parts) if not part.reason]
        distances = np.full((len(parts), len(names)), np.nan)
        if usable:
            features = {
                modality: np.stack([parts[row].features[modality] for row in usable])
                for modality in self.backbones
            }
            distances[usable] = self._distances(features, names, vectors)
        return answers(parts, names, ~self._is_unseen(names), distances, self.bias, top)

    def _classes(self, *, is_unseen: bool) -> tuple[str, ...]:
        described = self.bundle.description
        pairs = zip(described.class_names, described.is_unseen, strict=True)
        return tuple(name for name, unseen in pairs if unseen == is_unseen)

    def _classes_asked_for(
        self, classes: Sequence[str] | None
    ) -> tuple[tuple[str, ...], np.ndarray]:
        """Returns names and their vectors, ``(classes, dim)``."""
        own = {name: row for row, name in enumerate(self.class_names)}
        if classes is None and not own:
            raise PipelineError("classes: nothing was trained, so name the classes to choose among")
        names = [*own] if classes is None else matched(classes, self.class_names)
        new = [name for name in names if name not in own]
        by_name = dict(zip(own, self.bundle.arrays["class_vectors"], strict=True))
        if new:
            made = new_vectors(self.bundle.description.text, new, self.environment.cache)
            by_name |= dict(zip(new, made, strict=True))
        return tuple(names), np.stack([by_name[name] for name in names]).astype(np.float32)

    def _parts(self, videos: str | Path | Sequence[str | Path], *, timeline: bool) -> list[Part]:
        """Returns what is classified: each video, or each stretch of each, or why there is none."""
        described = self.bundle.description
        limits = Limits(described.max_pixels, described.max_duration_s)
        encoded = encode_videos(
            videos, self.backbones, limits, self.environment, keep_windows=timeline
        )
        parts = []
        for of_modality in zip(*encoded.clips.values(), strict=True):
            clips = dict(zip(encoded.clips, of_modality, strict=True))
            first = of_modality[0]
            reasons = (
                clip.reason or ("" if clip.num_encoded else NOTHING_DECODED) for clip in of_modality
            )
            whole = Part(first.clip_id, first.media.start_s, first.media.end_s)
            reason = next(filter(None, reasons), "")
            if reason:
                parts.append(replace(whole, reason=reason))
            elif timeline:
                parts += [
                    Part(first.clip_id, stretch.start_s, stretch.end_s, stretch.features)
                    for stretch in stretches(
                        clips, encoded.timings, probe(first.media.path).duration_s
                    )
                ]
            else:
                means = {
                    modality: np.asarray(clip.feature_sum / clip.num_encoded, np.float32)
                    for modality, clip in clips.items()
                    if clip.feature_sum is not None
                }
                parts.append(replace(whole, features=means))
        return parts

    def _distances(
        self, features: Mapping[str, np.ndarray], names: Sequence[str], vectors: np.ndarray
    ) -> np.ndarray:
        """Returns ``(clips, classes)`` distances without the bias."""
        described, device = self.bundle.description, self.environment.device
        num_clips = len(next(iter(features.values())))
        both = {
            modality: features.get(modality, np.zeros((num_clips, 0), np.float32))
            for modality in ("video", "audio")
        }
        dims = Dims(both["video"].shape[1], both["audio"].shape[1], vectors.shape[1])
        state = self.bundle.network or None
        trained = rebuilt(
            described.model, described.model_settings, dims, state, device, described.name
        )
        scaling = self._scaling(dims)
        knowledge = self._knowledge(names, vectors, scaling, dims)
        adapts = trained.plugin.adapt_to_classes is not defaults.adapt_to_classes
        if adapts and not knowledge.is_unseen.any():
            raise PipelineError(f"classes: {described.model} needs an unseen one among them")
        asked = EvaluationSet(
            clip_ids=[str(row) for row in range(num_clips)],
            video=torch.from_numpy(scaling.video(both["video"])).to(device),
            audio=torch.from_numpy(scaling.audio(both["audio"])).to(device),
            column=np.zeros(0, np.int64),
            class_row=np.arange(len(names)),
            knowledge=knowledge,
        )
        found = predict(trained.plugin, trained.settings, trained.network, asked).distances
        # A method may measure in another way where all classes are unseen.
        if found.zsl is not None and knowledge.is_unseen.all():
            return found.zsl
        return found.gzsl

    def _scaling(self, dims: Dims) -> Scaling:
        arrays = self.bundle.arrays

        def of(modality: str, dim: int) -> tuple[np.ndarray, np.ndarray]:
            mean = arrays.get(f"scaling.{modality}_mean", np.zeros(dim))
            return mean, arrays.get(f"scaling.{modality}_factor", np.ones(dim))

        return Scaling(*of("video", dims.video), *of("audio", dims.audio))

    def _knowledge(
        self, names: Sequence[str], vectors: np.ndarray, scaling: Scaling, dims: Dims
    ) -> ClassKnowledge:
        """Returns what the method may know: of the training clips those of the classes named."""
        arrays, device = self.bundle.arrays, self.environment.device
        own = {name: row for row, name in enumerate(self.class_names)}
        column_of_row = np.full(len(own), -1)
        for column, name in enumerate(names):
            if name in own:
                column_of_row[own[name]] = column
        columns = column_of_row[arrays.get("training.class", np.zeros(0, np.int64))]
        clips = np.flatnonzero(columns >= 0)

        def rows(modality: str, dim: int) -> np.ndarray:
            return arrays.get(f"training.{modality}", np.zeros((len(columns), dim), np.float32))[
                clips
            ]

        return ClassKnowledge(
            text=torch.from_numpy(vectors).to(device),
            is_unseen=self._is_unseen(names),
            video=torch.from_numpy(scaling.video(rows("video", dims.video))).to(device),
            audio=torch.from_numpy(scaling.audio(rows("audio", dims.audio))).to(device),
            column=torch.from_numpy(columns[clips]).to(device),
        )

    def _is_unseen(self, names: Sequence[str]) -> np.ndarray:
        return np.array([name not in self.seen_classes for name in names])


def _placed(backbone: BundledBackbone, file: str | Path | None) -> BundledBackbone:
    """Returns a backbone with its weights where they are on this machine."""
    settings = registry.load("backbones", backbone.plugin).Settings
    key = "model" if issubclass(settings, NamedModel) else "weights"
    for name, value in backbone.settings.items():
        if lacks_secrets(value) and (name != key or file is None):
            given = f"--weights {backbone.name}=FILE" if name == key else "the run's folder"
            raise PipelineError(
                f"backbone {backbone.name}: {name}: the password or token of {value} is not in the "
                f"bundle; give {given}"
            )
    if file is None:
        return backbone
    if backbone.settings.get(key, RANDOM) == RANDOM:
        raise PipelineError(
            f"weights: backbone {backbone.name} has random weights and needs no file, found "
            f"{abbreviated(str(file))}"
        )
    return replace(backbone, settings={**backbone.settings, key: str(file)})
