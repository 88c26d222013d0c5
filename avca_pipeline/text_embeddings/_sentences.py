"""Sentences about a class: its name in templates, or lines of a file; and their mean vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import field_validator, model_validator

from avca_pipeline.artifacts.text_files import read_csv
from avca_pipeline.errors import FormatError, PipelineError
from avca_pipeline.published.class_names import class_key
from avca_pipeline.settings import PluginSettings, nearest, whole_path
from avca_pipeline.text_embeddings._names import spellings

PLACE = "{}"


class Wording(PluginSettings):
    """What is said of each class to a text tower."""

    names: Path | None = None
    """A CSV file with the columns ``original`` and ``manual``, for class names that are written
    differently (manual) from those of the dataset (original). Other names are tidied:
    ``ApplyEyeMakeup`` becomes ``apply eye makeup``.
    """
    templates: str = PLACE
    """A sentence with ``{}`` in the place of the class name, the name of a list of such sentences
    (``ucf101_video``, ``ucf101_audio``, ``vggsound_video``, ``vggsound_audio``), or a text file
    with one sentence per line. The vector of a class is the mean over the sentences.
    """
    descriptions: Path | None = None
    """A CSV file with the columns ``name`` and ``description``, one sentence per line and any
    number for a class, in the place of templates.
    """

    @field_validator("templates")
    @classmethod
    def _has_a_place_or_is_a_list(cls, value: str) -> str:
        is_file = "/" in value or value.endswith(".txt")
        if PLACE in value or (is_file and str(whole_path(Path(value)))):
            return value
        if value not in list_names():
            raise ValueError(
                f"a template without {PLACE}, no list and no .txt file; "
                f"{nearest(value, list_names())}"
            )
        return value

    @model_validator(mode="after")
    def _has_one_kind_of_sentences(self) -> Self:
        # A template that is the default one may be there because the settings were written out.
        has_templates = self.templates != type(self).model_fields["templates"].default
        if self.descriptions is not None and has_templates:
            raise ValueError("descriptions take the place of templates; leave one of them out")
        return self

    @property
    def _templates_file(self) -> Path | None:
        is_given = PLACE not in self.templates and self.templates not in list_names()
        return Path(self.templates).expanduser() if is_given else None

    def sentence_files(self) -> list[Path]:
        """Returns the files that the sentences are read from."""
        files = (self.names, self._templates_file, self.descriptions)
        return [path for path in files if path is not None]

    def sentences(self, class_names: Sequence[str]) -> list[list[str]]:
        """Returns what is said of each class.

        Args:
            class_names: of the dataset.

        Raises:
            PipelineError: a file cannot be read, a template has no place for the name, or a class
                has no description.
        """
        if self.descriptions is not None:
            return _descriptions(self.descriptions, class_names)
        templates = self.template_list()
        spelled = spellings(class_names, self.names)
        return [[template.replace(PLACE, name) for template in templates] for name in spelled]

    def template_list(self) -> list[str]:
        """Returns the templates.

        Raises:
            PipelineError: the file cannot be read, or one of its lines has no place for the name.
        """
        if PLACE in self.templates:
            return [self.templates]
        path = self._templates_file
        if path is None:
            text = _lists().joinpath(f"{self.templates}.txt").read_text(encoding="utf-8")
            return text.splitlines()
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise FormatError(f"{path}: cannot be read as UTF-8 text ({error})") from error
        templates = [line.strip() for line in lines if line.strip()]
        for template in templates:
            if PLACE not in template:
                raise FormatError(f"{path}: {template!r} has no {PLACE} for the class name")
        if not templates:
            raise FormatError(f"{path}: has no template in it")
        return templates

    def wording(self) -> str:
        """Returns what is said of the classes, in words for the report."""
        if self.descriptions is not None:
            return f"descriptions from {self.descriptions.name}"
        if PLACE in self.templates:
            return f"'{self.templates}'"
        path = self._templates_file
        return f"templates {self.templates if path is None else path.name}"


def list_names() -> list[str]:
    """Returns the names of the lists of templates that are part of this package."""
    return sorted(path.name.removesuffix(".txt") for path in _lists().iterdir())


def class_vectors(
    sentences: Sequence[Sequence[str]], embed: Callable[[list[str]], np.ndarray]
) -> np.ndarray:
    """Returns ``(classes, dim)`` float32 of length 1: the mean of its sentences' unit vectors.

    Args:
        sentences: of each class, at least one.
        embed: gives the vectors of sentences, ``(sentences, dim)``, of any length but 0. It gets
            each sentence once and in alphabetical order, so that the order of classes is of no
            consequence.

    Raises:
        PipelineError: a class has no direction.
    """
    distinct = sorted({sentence for said in sentences for sentence in said})
    row_of = {sentence: row for row, sentence in enumerate(distinct)}
    units = _unit(embed(distinct).astype(np.float64), distinct)
    means = np.stack(
        [units[[row_of[sentence] for sentence in said]].mean(axis=0) for said in sentences]
    )
    return _unit(means, [said[0] for said in sentences]).astype(np.float32)


def _unit(vectors: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    is_bad = ~(np.isfinite(lengths) & (lengths > 0))[:, 0]
    if is_bad.any():
        raise PipelineError(f"text_embeddings: no vector for {texts[int(is_bad.argmax())]!r}")
    scaled: np.ndarray = vectors / lengths
    return scaled


def _lists() -> resources.abc.Traversable:
    return resources.files("avca_pipeline.text_embeddings").joinpath("templates")


def _descriptions(path: Path, class_names: Sequence[str]) -> list[list[str]]:
    said: dict[str, list[str]] = {}
    for row in read_csv(path, ("name", "description")):
        if row["description"].strip():
            said.setdefault(class_key(row["name"]), []).append(row["description"].strip())
    for name in class_names:
        if class_key(name) not in said:
            raise FormatError(f"{path}: has no description of class {name!r}")
    return [said[class_key(name)] for name in class_names]
