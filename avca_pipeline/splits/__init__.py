"""Plugins: which clip is in which of the five partitions.

A split is one file here, or a module that another package registers. `Split` says what it must
have.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from pydantic import Field

from avca_pipeline.leakage.levels import AuditLevels
from avca_pipeline.settings import PluginSettings

if TYPE_CHECKING:
    from avca_pipeline.artifacts.manifest import Clip
    from avca_pipeline.artifacts.split import BuiltSplit


class SplitSettings(PluginSettings):
    """Base of every split's settings."""

    audit: AuditLevels = AuditLevels()
    """Level of each check of the audit: ``error`` stops the pipeline, ``warning`` puts the result
    of the check into the report, ``off`` leaves the check out.
    """
    aliases: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Other names of a class, by class name, under which a backbone may have been trained on it.
    Names match regardless of capitals, spaces and punctuation, and never by similarity.
    """
    like_features: float = Field(default=0.9999, gt=0, lt=1)
    """Cosine, about the mean of the features, from which on two features count as alike."""

    def backbones_to_exclude(self) -> tuple[str, ...]:
        """Returns the backbones whose pretraining classes may not be unseen, by their names."""
        return ()

    def published_lists(self, dataset: str) -> tuple[str, str]:
        """Returns the benchmark and the kind of lists that an export of the split is called.

        Args:
            dataset: name of the dataset, which names the benchmark of a split of one's own.
        """
        return dataset, "main"


SettingsT = TypeVar("SettingsT", bound=SplitSettings)


class Split(Protocol[SettingsT]):
    """What the module of a split must have."""

    @property
    def Settings(self) -> type[SettingsT]:
        """The class of whatever decides the split."""

    def inputs(self, settings: SettingsT) -> list[Path]:
        """Returns the files that the split reads besides the manifest.

        Args:
            settings: settings of the split.

        Raises:
            PipelineError: one of them is not there.
        """

    def build(
        self, settings: SettingsT, clips: Sequence[Clip], pretrained: Collection[str]
    ) -> BuiltSplit:
        """Returns the split of a manifest, which does not depend on the order of the clips.

        Args:
            settings: settings of the split.
            clips: all clips of the manifest, to loop over: each loop may read them from the disk.
            pretrained: the classes that must not be unseen, because backbones of
                `SplitSettings.backbones_to_exclude` were trained on them with labels.

        Raises:
            PipelineError: the clips cannot be split like this.
        """


AnySplit: TypeAlias = Split[SplitSettings]
"""A split with settings of any type, which only the split itself looks into."""
