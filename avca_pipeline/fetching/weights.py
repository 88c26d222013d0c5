"""Where a backbone's parameters come from: settings, and the file, downloaded once and verified."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import pinned
from avca_pipeline.fetching.web_addresses import parse_address
from avca_pipeline.runtime.addresses import shown
from avca_pipeline.settings import SHA256, PluginSettings, Seed

logger = logging.getLogger(__name__)

RANDOM = "random"
PUBLISHED = "published"
KIND = "weights"
"""Begins messages on a file of weights."""


def _readable(place: str) -> str:
    try:
        parts = urlsplit(place)
        _ = parts.port
        if parts.scheme in ("http", "https"):
            if re.search(r"\s", parts.netloc):
                raise ValueError("there is a space in the name of the host")
            parse_address(place)
        elif "://" in place:
            raise ValueError("only http(s) addresses can be downloaded")
    except ValueError as error:
        raise ValueError(f"expected a file or an address: {error}") from error
    return place


# A text that is neither a path nor an address is refused together with the settings.
FileOrAddress = Annotated[str, AfterValidator(_readable)]


@dataclass(frozen=True)
class PublishedWeights:
    """Weights that somebody else publishes.

    Attributes:
        url: http(s) address of the file.
        licence: the terms of use, which the user is told with the download.
        sha256_prefix: what the SHA-256 begins with, as far as that is known; the rest is pinned
            on first use.
    """

    url: str
    licence: str
    sha256_prefix: str = ""


class WeightsSettings(PluginSettings):
    """Where a backbone's parameters come from."""

    weights: FileOrAddress = RANDOM
    """Where the network's weights come from: ``random``; ``published``, which downloads what the
    authors of the backbone publish; a local file; or an http(s) address.
    """
    sha256: str | None = Field(default=None, pattern=SHA256)
    """SHA-256 that the file of the weights must have. Without it, a download is pinned when it is
    first used.
    """
    seed: Seed = 0
    """Seed of ``random`` weights. The same seed gives the same network on every machine."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Precision of the network's arithmetic. ``tf32`` and ``bf16`` are faster on hardware that has
    them; they change the features by about 0.1 % and 1 %.
    """
    pretraining_classes: str | None = None
    """A text file with one class name per line: the classes that the pretraining saw with labels.
    The leakage audit needs it where the backbone cannot know these classes.
    """

    @model_validator(mode="after")
    def _no_checksum_of_nothing(self) -> WeightsSettings:
        if self.weights == RANDOM and self.sha256:
            raise ValueError("sha256 is given but weights are random; name a file or an address")
        return self

    @property
    def has_steady_hop(self) -> bool:
        """Whether windows are equally far apart in all clips, as far as settings alone say."""
        return True

    @property
    def is_random(self) -> bool:
        """Whether no pretrained weights are used."""
        return self.weights == RANDOM

    def local_files(self) -> dict[str, Path]:
        """Returns, by key, the files that must be on this machine before anything runs."""
        named = {"weights": self.weights, "pretraining_classes": self.pretraining_classes}
        return {key: Path(str(name)).expanduser() for key, name in named.items() if is_local(name)}

    def stated_classes(self) -> tuple[str, ...] | None:
        """Returns the classes in the file that the user named, () for random weights, else None.

        Raises:
            PipelineError: the file cannot be read.
        """
        if self.pretraining_classes is None:
            return () if self.is_random else None
        path = Path(self.pretraining_classes).expanduser()
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise PipelineError(
                f"pretraining_classes: {path}: cannot be read as UTF-8 text"
            ) from error
        return tuple(line.strip() for line in lines if line.strip())


def is_remote(weights: str) -> bool:
    """Returns whether weights have to be downloaded."""
    return urlsplit(weights).scheme in ("http", "https")


def is_local(weights: str | None) -> bool:
    """Returns whether weights are a file on this machine."""
    return weights not in (None, RANDOM, PUBLISHED) and not is_remote(str(weights))


def obtain_weights(
    weights: str, sha256: str | None, cache: Path, published: PublishedWeights | None = None
) -> tuple[Path, str]:
    """Returns the verified weights file and its SHA-256, downloading it if need be.

    Args:
        weights: ``published``, a local file, or an address.
        sha256: SHA-256 that the file must have, if that is known.
        cache: where downloads are kept.
        published: what ``published`` stands for.

    Raises:
        PipelineError: no such file, a failed download, or a wrong checksum.
    """
    prefix = ""
    if weights == PUBLISHED:
        if published is None:
            raise PipelineError(
                f"weights: {PUBLISHED}: this backbone has none; give a file or an address"
            )
        weights, prefix = published.url, published.sha256_prefix
    if not is_remote(weights):
        path = Path(weights).expanduser()
        return path, pinned.verify(path, sha256, KIND)
    name = Path(urlsplit(weights).path).name or "weights"
    key = hashlib.sha256(weights.encode()).hexdigest()[:12]
    path = cache.expanduser() / f"{key}-{name}"
    if published is not None and weights == published.url and not path.is_file():
        logger.info(f"{shown(weights)}: licence: {published.licence}")
    file = pinned.obtain(
        weights,
        path,
        sha256 or prefix,
        kind=KIND,
        remedy="correct sha256 in the config, or give a local file",
    )
    return path, file.sha256
