"""From the features of videos to their distances from classes, with the network of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avca_pipeline.artifacts.bundle import Bundle
from avca_pipeline.artifacts.feature_windows import WindowsInMemory
from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.clip_windows import ClipWindows
from avca_pipeline.evaluation.device_clips import EvaluationSet
from avca_pipeline.evaluation.labelled_clips import MODALITIES, Scaling
from avca_pipeline.evaluation.scoring import predict
from avca_pipeline.inference.parts import Part
from avca_pipeline.inference.trained_network import rebuilt
from avca_pipeline.models import ClassKnowledge, Dims, defaults
from avca_pipeline.runtime.lazy import torch


def distances_of(
    bundle: Bundle, device: str, parts: Sequence[Part], names: Sequence[str], vectors: np.ndarray
) -> np.ndarray:
    """Returns ``(parts, classes)`` distances without the bias.

    Args:
        bundle: of the run.
        device: ``cpu`` or ``cuda``.
        parts: videos or stretches of them, each with features.
        names: of the classes.
        vectors: ``(classes, dim)`` float32, of these names.

    Raises:
        PipelineError: the method needs an unseen class, and there is none.
    """
    described = bundle.description
    both = {
        modality: np.stack([part.features[modality] for part in parts])
        if modality in described.backbones
        else np.zeros((len(parts), 0), np.float32)
        for modality in MODALITIES
    }
    dims = Dims(both["video"].shape[1], both["audio"].shape[1], vectors.shape[1])
    trained = rebuilt(
        described.model,
        described.model_settings,
        dims,
        bundle.network or None,
        device,
        described.name,
    )
    scaling = _scaling(bundle, dims)
    knowledge = _knowledge(bundle, device, names, vectors, scaling, dims)
    adapts = trained.plugin.adapt_to_classes is not defaults.adapt_to_classes
    if adapts and not knowledge.is_unseen.any():
        raise PipelineError(f"classes: {described.model} needs an unseen one among them")
    asked = EvaluationSet(
        clip_ids=[str(row) for row in range(len(parts))],
        video=torch.from_numpy(scaling.video(both["video"])).to(device),
        audio=torch.from_numpy(scaling.audio(both["audio"])).to(device),
        column=np.zeros(0, np.int64),
        class_row=np.arange(len(names)),
        knowledge=knowledge,
        windows=_windows(parts, scaling, device) if trained.settings.over_time else {},
    )
    found = predict(trained.plugin, trained.settings, trained.network, asked).distances
    # A method may measure in another way where all classes are unseen.
    if found.zsl is not None and knowledge.is_unseen.all():
        return found.zsl
    return found.gzsl


def is_unseen(bundle: Bundle, names: Sequence[str]) -> np.ndarray:
    """Returns for each class whether the network was trained on no clip of it, ``(classes,)``."""
    described = bundle.description
    pairs = zip(described.class_names, described.is_unseen, strict=True)
    seen = {name for name, is_unseen in pairs if not is_unseen}
    return np.array([name not in seen for name in names])


def _scaling(bundle: Bundle, dims: Dims) -> Scaling:
    def of(modality: str, dim: int) -> tuple[np.ndarray, np.ndarray]:
        mean = bundle.arrays.get(f"scaling.{modality}_mean", np.zeros(dim))
        return mean, bundle.arrays.get(f"scaling.{modality}_factor", np.ones(dim))

    return Scaling(*of("video", dims.video), *of("audio", dims.audio))


def _windows(parts: Sequence[Part], scaling: Scaling, device: str) -> dict[str, ClipWindows]:
    """Returns modality to the parts over time, for a method that looks at them so."""
    scales = {"video": scaling.video, "audio": scaling.audio}
    found = {}
    for modality, hop_s in parts[0].hops_s.items():
        stored = WindowsInMemory([part.windows[modality] for part in parts], hop_s)
        rows = np.arange(len(parts))
        found[modality] = ClipWindows(stored, rows, scales[modality], device)
    return found


def _knowledge(
    bundle: Bundle,
    device: str,
    names: Sequence[str],
    vectors: np.ndarray,
    scaling: Scaling,
    dims: Dims,
) -> ClassKnowledge:
    """Returns what the method may know: of the training clips those of the classes named."""
    own = {name: row for row, name in enumerate(bundle.description.class_names)}
    column_of_row = np.full(len(own), -1)
    for column, name in enumerate(names):
        if name in own:
            column_of_row[own[name]] = column
    columns = column_of_row[bundle.arrays.get("training.class", np.zeros(0, np.int64))]
    clips = np.flatnonzero(columns >= 0)

    def rows(modality: str, dim: int) -> np.ndarray:
        nothing = np.zeros((len(columns), dim), np.float32)
        return bundle.arrays.get(f"training.{modality}", nothing)[clips]

    return ClassKnowledge(
        text=torch.from_numpy(vectors).to(device),
        is_unseen=is_unseen(bundle, names),
        video=torch.from_numpy(scaling.video(rows("video", dims.video))).to(device),
        audio=torch.from_numpy(scaling.audio(rows("audio", dims.audio))).to(device),
        column=torch.from_numpy(columns[clips]).to(device),
    )
