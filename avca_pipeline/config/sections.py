"""The sections of a config that have no plugins, as a user writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    field_validator,
    model_validator,
)

from avca_pipeline.artifacts import feature_folder
from avca_pipeline.artifacts.run import BOTH, Modalities
from avca_pipeline.errors import abbreviated
from avca_pipeline.fetching.archive_members import MAX_BYTES
from avca_pipeline.media import Limits
from avca_pipeline.published import layout
from avca_pipeline.settings import PluginSettings, Seed, refusal, whole_path

MAX_COUNT = 99_999
HUB = "hf:"
"""Begins the name of a repository on the Hugging Face Hub."""
_REPOSITORY = re.compile(
    HUB + r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)@(?!.*\.\.)([A-Za-z0-9][\w./-]*)", re.ASCII
)


def _count(value: Any) -> int:
    if not isinstance(value, int) or not 1 <= value <= MAX_COUNT:
        raise refusal(f"expected a whole number from 1 to {MAX_COUNT}, found {abbreviated(value)}")
    return value


def _share(value: Any) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise refusal(f"expected a share from 0 to 1, found {abbreviated(value)}")
    return float(value)


Count = Annotated[
    int, Field(ge=1, le=MAX_COUNT, json_schema_extra={"type": "integer"}), BeforeValidator(_count)
]
"""How many of something there are; shards are numbered with five digits."""
Share = Annotated[
    float, Field(ge=0, le=1, json_schema_extra={"type": "number"}), BeforeValidator(_share)
]
"""A share, from 0 to 1."""


class LimitsSettings(PluginSettings):
    """Upper limits for each clip; a clip that exceeds one of them is rejected."""

    max_pixels: int = Field(default=8192 * 4320, ge=1)
    """Maximum number of pixels in a frame."""
    max_duration_s: float = Field(default=3600.0, gt=0)
    """Maximum duration of a clip, in seconds."""
    max_bytes: int = Field(default=MAX_BYTES, ge=1)
    """Maximum size of a media file, in bytes; of a downloaded or unpacked one too."""

    def limits(self) -> Limits:
        """Returns the limits that the decoders check."""
        return Limits(self.max_pixels, self.max_duration_s)


class ReportSettings(PluginSettings):
    """What the report shows."""

    thumbnails: bool = True
    """Whether clips that were taken for another class are shown with a small picture, where their
    videos are here."""


class ImportedFeatures(PluginSettings):
    """Features that were computed elsewhere: in the published layout, or by this pipeline."""

    modality: Literal["video", "audio"]
    """Modality of the features."""
    path: Path
    """The folder that ``video/`` and ``audio/`` are in, with ``<modality>/<stage>/<class>.h5`` in
    it; a folder that ``avca publish features`` wrote; or ``hf:owner/name@revision``, where the
    Hugging Face Hub has such a folder. The revision is a commit, or a tag, whose commit at first
    use is kept.
    """
    keep_windows: bool = Field(default=False, exclude_if=lambda value: not value)
    """Whether the features are over time and are kept so, beside their mean. The files are then
    ``<modality>/<stage>/<class>.pkl``, with ``features``, an array of windows for each clip, and
    ``video_names``.
    """
    window_s: float | None = Field(default=None, gt=0, exclude_if=lambda value: value is None)
    """Length of a window of these features, in seconds."""
    hop_s: float | None = Field(default=None, gt=0, exclude_if=lambda value: value is None)
    """Seconds from the beginning of a window to that of the next one; the first window begins with
    its clip.
    """
    space: str | None = Field(default=None, exclude=True)
    """Name of the space that the features share with text embeddings: any name, which ``spaces`` of
    ``precomputed`` vectors says too, or the model as ``https://host/owner/name@commit``. It matters
    to methods that compare features with text embeddings as they are, and changes no feature.
    """

    @property
    def repository(self) -> tuple[str, str] | None:
        """Name and revision of a repository on the Hub; nothing where ``path`` is a folder."""
        match = _REPOSITORY.fullmatch(str(self.path))
        return None if match is None else (match[1], match[2])

    def files(self) -> list[Path]:
        """Returns the files and folders on this machine that the features are read from.

        Raises:
            PipelineError: there are none.
        """
        if self.repository is not None:
            return []
        if feature_folder.is_one(self.path):
            return feature_folder.files(self.path, self.modality)
        return layout.stage_folders(self.path, self.modality)

    @field_validator("path")
    @classmethod
    def _a_whole_name(cls, path: Path) -> Path:
        if str(path).startswith(HUB) and not _REPOSITORY.fullmatch(str(path)):
            raise ValueError(
                "write hf:owner/name@revision, such as hf:me/features@v1; without a revision, "
                "nobody could say which features were used"
            )
        return path

    @model_validator(mode="after")
    def _times_of_windows_are_known(self) -> ImportedFeatures:
        if self.keep_windows and (self.window_s is None or self.hop_s is None):
            raise ValueError("keep_windows is true but window_s or hop_s is missing; give both")
        return self


class FeatureSet(PluginSettings):
    """A named pair of backbones, or one of them; imported features may take a backbone's place."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["video"]}, {"required": ["audio"]}]}
    )

    video: str = ""
    """Name of a video backbone, or of video features under ``imported``. Left out where the clips
    have no pictures.
    """
    audio: str = ""
    """Name of an audio backbone, or of audio features under ``imported``. Left out where the clips
    have no sound.
    """
    scaling: Literal["none", "standard"] = "none"
    """How features are scaled: ``none`` leaves them as they are, as published; ``standard`` gives
    each dimension mean 0 and variance 1 over the training clips.
    """

    @model_validator(mode="after")
    def _has_features(self) -> FeatureSet:
        if not self.names:
            raise ValueError("name a video backbone, an audio backbone, or both")
        return self

    @property
    def names(self) -> dict[str, str]:
        """The names of the features, by modality."""
        named = {"video": self.video, "audio": self.audio}
        return {modality: name for modality, name in named.items() if name}

    @property
    def modalities(self) -> Modalities:
        """Which modalities it has."""
        return BOTH if len(self.names) == 2 else "video" if self.video else "audio"


def _class_names(value: Any) -> tuple[str, ...] | Path | None:
    """Returns a list of class names as it is to be read, or the file with one."""
    if isinstance(value, str) and value.strip():
        try:
            return whole_path(Path(value))
        except ValueError as error:
            raise refusal(f"{error} (found {abbreviated(value)})") from error
    if value is None or isinstance(value, Path):
        return value
    if not isinstance(value, list | tuple) or not value:
        raise refusal(
            "expected a list of class names, or a text file with one a line, found "
            f"{abbreviated(value)}"
        )
    for name in value:
        if not isinstance(name, str) or not name.strip():
            quotes = "; put it in quotes" if isinstance(name, bool | int | float) else ""
            raise refusal(f"expected class names, found {abbreviated(name)}{quotes}")
    names = tuple(name.strip() for name in value)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise refusal(f"{abbreviated(twice)} is named twice; name it once")
    return names


ClassNames = Annotated[
    tuple[str, ...] | Path | None,
    PlainValidator(_class_names, json_schema_input_type=tuple[str, ...] | str | None),
]
"""Class names, or the text file that has them, one a line."""


class Applied(PluginSettings):
    """What classifies which clips, among which class names."""

    dataset: str
    """Name under ``datasets``; its clips need no classes."""
    run: Path | None = None
    """What classifies: the folder of a run, of this config or of other results, or a bundle, a
    folder or a .zip.
    """
    zero_shot: str | None = None
    """In place of ``run``, a name under ``feature_sets``: its encoders classify without training.
    """
    feature_set: str | None = None
    """Name under ``feature_sets`` whose backbones make features as those of ``run`` did. It can be
    left out for a run of this config, and where there is one feature set.
    """
    text_embedding: str | None = None
    """For ``zero_shot``, the name under ``text_embeddings`` of its text towers. It can be left out
    where there is one text embedding.
    """
    classes: ClassNames = None
    """Class names to choose among, or a text file with one a line; those of the run unless stated.
    """
    top: Count = 5
    """Number of classes in the ranking of each clip."""
    leave_out_seen: bool = False
    """Whether classes that the run was trained on are left out."""

    @model_validator(mode="after")
    def _one_classifies(self) -> Applied:
        if (self.run is None) == (self.zero_shot is None):
            raise ValueError(
                "name either run, a trained run or a bundle, or zero_shot, a feature set"
            )
        if self.zero_shot is not None and self.feature_set is not None:
            raise ValueError("zero_shot is the feature set; remove feature_set")
        if self.run is not None and self.text_embedding is not None:
            raise ValueError("a run has its text embedding; remove text_embedding")
        if self.zero_shot is not None and self.classes is None:
            raise ValueError("nothing is trained for zero_shot, so give classes to choose among")
        if self.zero_shot is not None and self.leave_out_seen:
            raise ValueError("for zero_shot no class is seen; remove leave_out_seen")
        return self


class Experiment(PluginSettings):
    """A grid of runs: one run for each combination of what is listed."""

    datasets: tuple[str, ...]
    """Names under ``datasets``."""
    feature_sets: tuple[str, ...]
    """Names under ``feature_sets``."""
    text_embeddings: tuple[str, ...]
    """Names under ``text_embeddings``."""
    splits: tuple[str, ...]
    """Names under ``splits``."""
    models: tuple[str, ...]
    """Names under ``models``."""
    modalities: tuple[Modalities, ...] = (BOTH,)
    """Which modalities of the feature sets are used: both (of a feature set with one, that one),
    video or audio alone. All three together show what sound is worth: their clips are the same,
    those that have all features of the set.
    """
    seeds: tuple[Seed, ...] = (0,)
    """Seeds of training, each less than 2**32; the report gives mean and standard deviation over
    them.
    """

    @field_validator("*")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values or len(set(values)) != len(values):
            raise ValueError("list at least one, and each once")
        return values
