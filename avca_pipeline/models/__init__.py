"""Plugins: methods of audio-visual zero-shot learning.

A method is one file here, or a module that another package registers. `Model` says what it must
have, and `avca_pipeline.models.defaults` has what most methods have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias, TypeVar

from pydantic import ConfigDict, Field, field_validator
from pydantic_core import PydanticKnownError

from avca_pipeline.artifacts.run import BOTH, Modalities
from avca_pipeline.settings import PluginSettings

if TYPE_CHECKING:
    import numpy as np
    import torch

    from avca_pipeline.evaluation.distances import Distances

MAX_WHOLE = 1_000_000
"""No training has more of anything."""


def _write_limits(schema: dict[str, Any], settings: type[ModelSettings]) -> None:
    """Adds to a schema what is checked below: the largest number, and the possible modalities."""
    for key in schema.get("properties", {}).values():
        if "integer" in key.get("type", ()):
            key.setdefault("maximum", MAX_WHOLE)
    if not settings.works_on_one_modality:
        schema["properties"]["modalities"]["enum"] = [BOTH]


class ModelSettings(PluginSettings):
    """What training any model needs."""

    model_config = ConfigDict(json_schema_extra=_write_limits)

    works_on_one_modality: ClassVar[bool] = False
    """Whether the method makes sense with video alone and with audio alone. The features of the
    other modality then have no values.
    """

    over_time: ClassVar[bool] = False
    """Whether the method looks at clips over time, see `ModelOverTime`, or at the mean of each."""

    epochs: int = Field(default=50, ge=1)
    """Number of epochs of stage 1. Stage 2 stops after the epoch that stage 1 chose."""
    batches_per_epoch: int = Field(default=500, ge=1)
    """Number of batches in an epoch."""
    batch_size: int = Field(default=256, ge=2)
    """Number of triplets in a batch."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Learning rate of the optimiser Adam."""
    weight_decay: float = Field(default=1e-5, ge=0)
    """Weight decay of the optimiser Adam, the classic kind that is added to the gradient."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay rate of the optimiser Adam's running mean of the gradient."""
    lr_patience: int = Field(default=3, ge=0)
    """Number of epochs without a better validation HM after which the learning rate is divided by
    ten.
    """
    chosen_on_test: bool = False
    """Whether stage 2 runs for all epochs and the epoch with the best HM on the test clips is
    reported, without calibration. For comparison only: the numbers of f-VAEGAN-D2 were published
    so, and the report marks such numbers.
    """
    modalities: Modalities = BOTH
    """Which modalities the method uses: both, or one of them alone. Where the feature set has one,
    or the grid of runs names one, it is that one.
    """
    repeatable: bool = True
    """Whether a GPU must compute the same bits for the same seed each time, with slower operations
    where necessary. The log names each operation that has no such form.
    """

    @field_validator("*", mode="after")
    @classmethod
    def _of_a_size_that_fits(cls, value: Any) -> Any:
        if isinstance(value, int) and value > MAX_WHOLE:
            raise PydanticKnownError("less_than_equal", {"le": MAX_WHOLE})
        return value

    @field_validator("modalities", mode="after")
    @classmethod
    def _can_use_them(cls, value: Modalities) -> Modalities:
        if value != BOTH and not cls.works_on_one_modality:
            raise ValueError("the method needs both video and audio")
        return value

    @property
    def needs_steady_hop(self) -> bool:
        """Whether windows must be equally far apart, see `Windows.hop_s`."""
        return False

    def using(self, modalities: Modalities) -> Self:
        """Returns the settings with which the method uses these modalities.

        Args:
            modalities: one of them, or ``both``, which leaves the choice to the settings.

        Raises:
            ValidationError: the method needs both.
        """
        if modalities == BOTH:
            return self
        written = self.model_dump(exclude_unset=True)
        return type(self).model_validate(written | self.changes_for(modalities))

    def changes_for(self, modality: str) -> dict[str, Any]:
        """Returns which settings change, and to what, where the method uses one modality alone."""
        return {"modalities": modality}

    def check_features(self, video: torch.Tensor, audio: torch.Tensor) -> None:
        """Checks the features that a training learns from, once, before its first epoch.

        Args:
            video: ``(clips, video dim)``, scaled.
            audio: ``(clips, audio dim)``, scaled.

        Raises:
            PipelineError: the method cannot learn from them; most methods can from any.
        """

    def text_spaces(self, video: str | None, audio: str | None) -> list[tuple[str | None, ...]]:
        """Returns in which spaces text embeddings may be; nothing where any space will do.

        A method that compares features with text embeddings as they are needs both in one space.

        Args:
            video: space of the video features, see `PluginSettings.shared_spaces`.
            audio: space of the audio features.

        Returns:
            The possible spaces of text embeddings, each in the order of their parts.
        """
        return []


@dataclass(frozen=True)
class Dims:
    """Sizes that the data decides; that of a modality that is not used is 0."""

    video: int
    audio: int
    text: int


@dataclass(frozen=True)
class Batch:
    """Class-balanced triplets: clips, and for each a clip of another class.

    Attributes:
        video: ``(batch, video dim)``.
        audio: ``(batch, audio dim)``.
        text: ``(batch, text dim)``, text embedding of the clip's class.
        negative_video: of the clip of another class, like the three after it.
        negative_audio: likewise.
        negative_text: likewise.
        class_text: ``(classes, text dim)``, text embeddings of all classes that are trained on.
        text_row: ``(batch,)``, row of the clip's class in ``class_text``.
    """

    video: torch.Tensor
    audio: torch.Tensor
    text: torch.Tensor
    negative_video: torch.Tensor
    negative_audio: torch.Tensor
    negative_text: torch.Tensor
    class_text: torch.Tensor
    text_row: torch.Tensor


@dataclass(frozen=True)
class Windows:
    """Features of one modality over time, of clips with any number of windows each.

    Attributes:
        values: ``(windows, dim)`` float32: the windows of the first clip in order, then those of
            the second, and so on. Scaling is learned from means and done to each window.
        starts_s: ``(windows,)`` float64, where each begins, in seconds after the beginning of its
            clip.
        lengths: ``(clips,)`` int64, how many windows each clip has, at least one; on the CPU.
        hop_s: seconds from the beginning of a window to that of the next one; NaN where that
            differs from clip to clip.
    """

    values: torch.Tensor
    starts_s: torch.Tensor
    lengths: torch.Tensor
    hop_s: float


@dataclass(frozen=True)
class BatchOverTime:
    """Class-balanced clips over time.

    There are no clips of other classes in it: reading their windows would take as long again.

    Attributes:
        video: of the clips.
        audio: of the same clips.
        text: ``(batch, text dim)``, text embedding of the clip's class.
        class_text: ``(classes, text dim)``, text embeddings of all classes that are trained on.
        text_row: ``(batch,)``, row of the clip's class in ``class_text``.
    """

    video: Windows
    audio: Windows
    text: torch.Tensor
    class_text: torch.Tensor
    text_row: torch.Tensor


@dataclass(frozen=True)
class ClassKnowledge:
    """What a method may know of the classes that it tells apart: no clip of the evaluation.

    Attributes:
        text: ``(classes, text dim)``, text embeddings of all classes, seen and unseen.
        is_unseen: ``(classes,)``.
        video: ``(training clips, video dim)``, of the seen classes; means over windows.
        audio: ``(training clips, audio dim)``.
        column: ``(training clips,)``, row of the clip's class in ``text``. The same number is the
            column of the class in the distances.
    """

    text: torch.Tensor
    is_unseen: np.ndarray
    video: torch.Tensor
    audio: torch.Tensor
    column: torch.Tensor


SettingsT = TypeVar("SettingsT", bound=ModelSettings)
NetworkT = TypeVar("NetworkT", bound="torch.nn.Module")


class Method(Protocol[SettingsT, NetworkT]):
    """What the module of any method must have, and `Model` or `ModelOverTime` beside.

    A network keeps no state between calls but its parameters and running statistics.
    """

    @property
    def Settings(self) -> type[SettingsT]:
        """The class of the method's hyper-parameters."""

    def build(self, settings: SettingsT, dims: Dims) -> NetworkT:
        """Returns the network, initialised from torch's global random state.

        Args:
            settings: hyper-parameters of the method.
            dims: sizes of the features and of the text embeddings.
        """

    def trainable(self, settings: SettingsT, network: NetworkT) -> list[torch.nn.Parameter]:
        """Returns the parameters that the optimiser moves.

        Args:
            settings: hyper-parameters of the method.
            network: from `build`.
        """

    def adapt_to_classes(
        self, settings: SettingsT, network: NetworkT, knowledge: ClassKnowledge
    ) -> Iterator[NetworkT]:
        """Yields the network that tells certain classes apart; most methods yield their network.

        A method that trains for this yields its network after each epoch. The last epoch counts.
        The network may be one and the same object each time: an epoch's network is to be used
        before the next epoch is asked for.

        Args:
            settings: hyper-parameters of the method.
            network: from `build`, trained, in evaluation mode.
            knowledge: what the method may use: text embeddings, and training clips only.
        """

    def embed_classes(
        self, settings: SettingsT, network: NetworkT, text: torch.Tensor
    ) -> torch.Tensor:
        """Returns ``(classes, dim)``: classes in the same space as the clips, and as wide.

        The report draws clips and classes in one figure, also those of a method whose `distances`
        needs no embedding of classes.

        Args:
            settings: hyper-parameters of the method.
            network: from `adapt_to_classes`, in evaluation mode.
            text: ``(classes, text dim)``.
        """

    def distances(
        self, settings: SettingsT, network: NetworkT, clips: np.ndarray, classes: np.ndarray
    ) -> Distances:
        """Returns how far clips are from classes; a clip belongs to the nearest class.

        Args:
            settings: hyper-parameters of the method.
            network: from `adapt_to_classes`, in evaluation mode.
            clips: ``(clips, dim)`` from `embed_clips`.
            classes: ``(classes, dim)`` from `embed_classes`.
        """


class Model(Method[SettingsT, NetworkT], Protocol[SettingsT, NetworkT]):
    """What the module of a method must have that looks at the mean features of clips."""

    def steps(
        self, settings: SettingsT, network: NetworkT, batch: Batch
    ) -> Iterator[dict[str, torch.Tensor]]:
        """Yields, for each step of the optimiser on a batch, every loss term by its name.

        Most methods make one step. The term ``total`` is minimised. After each ``yield`` the
        optimiser moves the parameters that have a gradient. So what a method computes after a
        ``yield`` is computed with the parameters that the step has led to: the losses of the next
        step, or what has to follow the last step.

        Args:
            settings: hyper-parameters of the method.
            network: from `build`, in training mode.
            batch: the triplets to learn from.
        """

    def embed_clips(
        self, settings: SettingsT, network: NetworkT, video: torch.Tensor, audio: torch.Tensor
    ) -> torch.Tensor:
        """Returns ``(clips, dim)``: clips in the space in which classes are compared.

        Each clip is embedded by itself: which others are embedded with it changes nothing.

        Args:
            settings: hyper-parameters of the method.
            network: from `adapt_to_classes`, in evaluation mode.
            video: ``(clips, video dim)``.
            audio: ``(clips, audio dim)``.
        """


class ModelOverTime(Method[SettingsT, NetworkT], Protocol[SettingsT, NetworkT]):
    """What the module of a method must have that looks at clips over time.

    Its settings say ``over_time``. Features are read for each batch, so that memory depends on the
    size of a batch and not on that of the dataset.
    """

    def steps(
        self, settings: SettingsT, network: NetworkT, batch: BatchOverTime
    ) -> Iterator[dict[str, torch.Tensor]]:
        """Yields the losses of each step of the optimiser, see `Model.steps`.

        Args:
            settings: hyper-parameters of the method.
            network: from `build`, in training mode.
            batch: the clips to learn from.
        """

    def embed_clips(
        self, settings: SettingsT, network: NetworkT, video: Windows, audio: Windows
    ) -> torch.Tensor:
        """Returns ``(clips, dim)``, see `Model.embed_clips`.

        Args:
            settings: hyper-parameters of the method.
            network: from `adapt_to_classes`, in evaluation mode.
            video: of at most ``batch_size`` clips.
            audio: of the same clips.
        """


AnyModel: TypeAlias = "Model[ModelSettings, torch.nn.Module]"
"""A method with settings and a network of any type, which only it looks into."""
