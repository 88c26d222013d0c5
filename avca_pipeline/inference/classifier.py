"""Classifies videos with what a run has left, or with a method that needs no training.

Decoding, windows, features, scaling, text embedding, bias and arithmetic are those of the run: a
clip of the test gets exactly the distances with which it was scored.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from avca_pipeline import registry
from avca_pipeline.artifacts.bundle import Bundle
from avca_pipeline.artifacts.scores import Scores
from avca_pipeline.errors import PipelineError, abbreviated, one_line
from avca_pipeline.inference.backbones_here import placed
from avca_pipeline.inference.class_vectors import matched, new_vectors, same_package
from avca_pipeline.inference.distances import distances_of, is_unseen
from avca_pipeline.inference.parts import Part, parts_over_time, whole_parts
from avca_pipeline.inference.predictions import Predictions, answers, is_positive
from avca_pipeline.inference.video_features import Encoded, Environment, encode_videos
from avca_pipeline.media import Limits


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
            modality: placed(backbone, weights.get(backbone.name))
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

    def with_max_duration(self, max_duration_s: float) -> TrainedRun:
        """Returns the same run, which takes videos up to another length in seconds."""
        changed = copy.copy(self)
        described = replace(self.bundle.description, max_duration_s=max_duration_s)
        changed.bundle = replace(self.bundle, description=described)
        return changed

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
        leave_out_seen: bool = False,
    ) -> Predictions:
        """Classifies videos.

        The first call loads the networks of the backbones, and later ones use them again.

        Args:
            videos: one or several paths; ``clip.mp4#t=2.5,7`` is a stretch of a file.
            classes: names to choose among; those of the run unless stated. Names that the run does
                not know are embedded as its own were, and count as unseen.
            top: how many classes the ranking of each video has; ``None`` for all.
            timeline: answer for each stretch of a video instead of the whole. The stretches are the
                windows of the backbone that has fewer of them; see `stretches`.
            leave_out_seen: leave out the classes that the network was trained on.

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
        names, vectors = self.classes_asked_for(classes, leave_out_seen=leave_out_seen)
        encoded = self.encode(videos, keep_windows=timeline)
        parts = parts_over_time(encoded) if timeline else whole_parts(encoded)
        return self.ranked(parts, names, vectors, top)

    def encode(
        self, videos: str | Path | Sequence[str | Path], *, keep_windows: bool = False
    ) -> Encoded:
        """Returns what the backbones make of videos, for `whole_parts` and `parts_over_time`.

        Args:
            videos: see `predict`.
            keep_windows: keep the features of each window, for a timeline.

        Raises:
            PipelineError: see `encode_videos`.
        """
        described = self.bundle.description
        settings = registry.load("models", described.model).Settings
        return encode_videos(
            videos,
            self.backbones,
            Limits(described.max_pixels, described.max_duration_s),
            self.environment,
            keep_windows=keep_windows or settings.over_time,
        )

    def ranked(
        self,
        parts: Sequence[Part],
        names: tuple[str, ...],
        vectors: np.ndarray,
        top: int | None,
    ) -> Predictions:
        """Returns an answer for each part, from its features.

        Args:
            parts: videos or stretches of them, each with features or a reason.
            names: of the classes to choose among.
            vectors: ``(classes, dim)``, of these names, see `classes_asked_for`.
            top: how many classes a ranking has; ``None`` for all.
        """
        usable = [row for row, part in enumerate(parts) if not part.reason]
        distances = np.full((len(parts), len(names)), np.nan)
        if usable:
            distances[usable] = distances_of(
                self.bundle,
                self.environment.device,
                [parts[row] for row in usable],
                names,
                vectors,
            )
        return answers(parts, names, ~is_unseen(self.bundle, names), distances, self.bias, top)

    def _classes(self, *, is_unseen: bool) -> tuple[str, ...]:
        described = self.bundle.description
        pairs = zip(described.class_names, described.is_unseen, strict=True)
        return tuple(name for name, unseen in pairs if unseen == is_unseen)

    def classes_asked_for(
        self, classes: Sequence[str] | None, *, leave_out_seen: bool = False
    ) -> tuple[tuple[str, ...], np.ndarray]:
        """Returns names and their vectors, ``(classes, dim)`` float32.

        Args:
            classes: names to choose among; those of the run unless stated.
            leave_out_seen: leave out those that the network was trained on.

        Raises:
            PipelineError: a name has no vector, or none is left.
        """
        own = {name: row for row, name in enumerate(self.class_names)}
        if classes is None and not own:
            raise PipelineError("classes: nothing was trained, so name the classes to choose among")
        names = [*own] if classes is None else matched(classes, self.class_names)
        if leave_out_seen:
            names = [name for name in names if name not in self.seen_classes]
            if not names:
                raise PipelineError(
                    "classes: all are seen, and seen ones are left out; name an unseen one"
                )
        new = [name for name in names if name not in own]
        by_name = dict(zip(own, self.bundle.arrays["class_vectors"], strict=True))
        if new:
            made = new_vectors(self.bundle.description.text, new, self.environment.cache)
            by_name |= dict(zip(new, made, strict=True))
        return tuple(names), np.stack([by_name[name] for name in names]).astype(np.float32)
