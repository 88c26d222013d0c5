"""Plugins: where clips come from.

A dataset is one file here, or a module that another package registers. `Dataset` says what it must
have, and `avca_pipeline.datasets.defaults` has what most datasets have in common.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar

from avca_pipeline.settings import PluginSettings

if TYPE_CHECKING:
    from avca_pipeline.artifacts.manifest import Clip
    from avca_pipeline.fetching.youtube import Network

Downloader: TypeAlias = Literal["http", "yt-dlp"]
"""What downloads clips: this package, or the program yt-dlp, which is an extra."""

SettingsT = TypeVar("SettingsT", bound=PluginSettings)


class Dataset(Protocol[SettingsT]):
    """What the module of a dataset must have."""

    @property
    def Settings(self) -> type[SettingsT]:
        """The class of what the user says about the dataset."""

    def inputs(self, settings: SettingsT) -> list[Path]:
        """Returns the files and folders that decide which clips there are.

        Args:
            settings: what the user says about the dataset.

        Raises:
            PipelineError: one of them is not there.
        """

    def clips(self, settings: SettingsT) -> Iterable[Clip]:
        """Returns every labelled clip, without opening its media.

        Nobody loops over them more than once: a dataset of millions of clips may yield them.

        Args:
            settings: what the user says about the dataset.

        Raises:
            PipelineError: the annotations are missing or malformed.
        """

    def remarks(self, settings: SettingsT) -> list[str]:
        """Returns what the user should know about the dataset, a line each.

        Args:
            settings: what the user says about the dataset.
        """

    def locate(self, settings: SettingsT, clip: Clip, folder: Path, max_bytes: int) -> Path:
        """Returns the clip's media on this machine.

        Args:
            settings: what the user says about the dataset.
            clip: one of `clips`.
            folder: where media are put that have to be made or unpacked first.
            max_bytes: no file that comes out of an archive may be larger.

        Raises:
            MediaError: there is none; the message is the reason that the tables show.
        """

    def find(self, settings: SettingsT, clip: Clip, folder: Path) -> Path | None:
        """Returns where `locate` would find or put the clip's media now, if that can change.

        A clip that is found in another place than before is fetched again. A dataset whose clips
        stay where they are returns ``None``, and so does one that has lost the clip.

        Args:
            settings: what the user says about the dataset.
            clip: one of `clips`.
            folder: as for `locate`.
        """

    def downloader(self, settings: SettingsT) -> Downloader | None:
        """Returns what `download` works with; ``None`` where nothing is downloaded.

        Args:
            settings: what the user says about the dataset.
        """

    def download(self, settings: SettingsT, clip: Clip, folder: Path, network: Network) -> None:
        """Downloads a clip that `locate` does not find to where `locate` finds it.

        Args:
            settings: what the user says about the dataset.
            clip: one of `clips`.
            folder: as for `locate`.
            network: what the downloads of a shard share.

        Raises:
            MediaError: why the clip will never come.
            TransientError: why the clip does not come now.
        """


AnyDataset: TypeAlias = Dataset[PluginSettings]
"""A dataset with settings of any type, which only the dataset itself looks into."""


def is_labelled(settings: PluginSettings) -> bool:
    """Returns whether the clips of a dataset have classes, as all have unless it is said."""
    return bool(getattr(settings, "labelled", True))
