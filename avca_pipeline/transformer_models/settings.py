"""What a user says about a model of the library: its name, its revision, its weights."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import field_validator

from avca_pipeline.fetching.weights import PUBLISHED, RANDOM, FileOrAddress, WeightsSettings
from avca_pipeline.settings import PluginSettings, whole_path
from avca_pipeline.transformer_models import model_files, repositories
from avca_pipeline.transformer_models.families import Task, Tower, family_names, tower
from avca_pipeline.transformer_models.loading import check_installed


class NamedModel(PluginSettings):
    """A model by its name."""

    model: str
    """The model: ``owner/name`` in the Hugging Face Hub, the http(s) address of a repository
    elsewhere, or a folder that begins with ``/``, ``~`` or ``.``. Its weights must be safetensors.
    """
    revision: str | None = None
    """Commit, tag or branch of the repository. Without one, the latest commit is taken at first use
    and stays.
    """

    @field_validator("model")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if repositories.is_folder(value):
            whole_path(Path(value))
        return repositories.check_name(value)

    @field_validator("revision")
    @classmethod
    def _is_a_revision(cls, value: str | None) -> str | None:
        if value is not None and not repositories.REVISION.fullmatch(value):
            raise ValueError("write a commit, a tag or a branch of the repository")
        return value

    def model_files(self) -> list[Path]:
        """Returns the files of a model that is named by its folder."""
        if not repositories.is_folder(self.model):
            return []
        folder = Path(self.model).expanduser()
        weights = sorted(folder.glob("*.safetensors"))
        others = [path for path in model_files.settings_files(folder) if path.name != "config.json"]
        index = [path for path in (folder / model_files.INDEX,) if path.is_file()]
        return [folder / model_files.CONFIG, *others, *index, *weights]

    def with_files(self, cache: Path) -> Self:
        """Returns these settings with the folder of the model, which is downloaded if need be."""
        folder = repositories.obtain(self.model, self.revision, cache)
        return self.model_copy(update={"model": str(folder.absolute()), "revision": None})

    def space(self, cache: Path, head: str | None) -> str | None:
        """Returns the space that the model's towers share with its text tower, if it has one.

        Args:
            cache: where downloads are kept.
            head: which of the text heads of ``pe_audio_video`` gives the space.

        Returns:
            The model with its commit, ``https://host/owner/name@commit``, or its folder; of a model
            with several text heads, the head as well.

        Raises:
            PipelineError: there is no such model.
        """
        _, config = repositories.look_up(self.model, self.revision, cache)
        family = config.get("model_type")
        if family not in family_names("text"):
            return None
        name = repositories.identity(self.model, self.revision, cache)
        return f"{name} ({head})" if family == "pe_audio_video" else name

    def weights_used(self, cache: Path) -> tuple[dict[str, str], ...]:
        """Returns the model with its commit, or the name of its folder, and its weights."""
        folder = repositories.obtain(self.model, self.revision, cache)
        name, revision = folder.name, ""
        if not repositories.is_folder(self.model):
            pinned = repositories.identity(self.model, self.revision, cache)
            name, _, revision = pinned.rpartition("@")
        sha256 = model_files.weights_sha256(folder)
        return ({"name": name, "revision": revision, "sha256": sha256},)

    @property
    def folder(self) -> Path:
        """The folder with the model's files, for settings that `with_files` returned."""
        assert repositories.is_folder(self.model), self.model
        return Path(self.model).expanduser()


class EncoderSettings(NamedModel, WeightsSettings):
    """A tower of a model that encodes pictures, videos or sound."""

    TASK: ClassVar[Task]
    """What the towers of a backbone encode."""

    weights: FileOrAddress = PUBLISHED
    """``published``, the weights of the model, or ``random`` ones for its architecture."""

    @field_validator("weights")
    @classmethod
    def _are_the_models(cls, value: str) -> str:
        if value not in (PUBLISHED, RANDOM):
            raise ValueError("published or random; name the model's folder as model")
        return value

    def look_up(self, cache: Path) -> None:
        """Raises `PipelineError` unless there is such a model, and it has a tower for the task."""
        _, config = repositories.look_up(self.model, self.revision, cache)
        check_installed(self.TASK, tower(self.TASK, self.model, config))

    @classmethod
    def choices(cls) -> tuple[str, list[str]]:
        """Returns the families of models that have a tower for the task."""
        return "families of transformers", family_names(cls.TASK)

    def shared_spaces(self, cache: Path) -> tuple[str | None, ...]:
        """Returns the space of the model's text tower, which random weights do not share."""
        return (None if self.is_random else self.space(cache, self.TASK),)

    def local_files(self) -> dict[str, Path]:
        """Returns the files that must be there, those of the model's folder among them."""
        files = {f"model ({path.name})": path for path in self.model_files()}
        return super().local_files() | files


def tower_of(settings: NamedModel, task: Task, head: str | None = None) -> Tower:
    """Returns the tower that settings with files name, see `families.tower`."""
    return tower(task, settings.model, _config(settings.folder), head)


@functools.lru_cache(maxsize=8)
def _config(folder: Path) -> Mapping[str, Any]:
    """Returns the ``config.json`` of a model whose files are there; each batch asks for it."""
    return model_files.read_config(folder)
