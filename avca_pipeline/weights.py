"""Pretrained weights: found or downloaded once, verified, and loaded without running code."""

from __future__ import annotations

import hashlib
import math
import pickle
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from avca_pipeline.artifacts.atomic import writing
from avca_pipeline.errors import PipelineError
from avca_pipeline.lazy import torch
from avca_pipeline.progress import Progress, say
from avca_pipeline.registry import PluginSettings

RANDOM = "random"
CHUNK_BYTES = 1 << 20
ATTEMPTS = 4
TIMEOUT_S = 30


class WeightsSettings(PluginSettings):
    """Where a backbone's parameters come from.

    Attributes:
        weights: ``random``, a local file, or an http(s) address.
        sha256: what the file must hash to. Without one, a download is pinned on first use.
        seed: of ``random``; the same seed gives the same network on every machine.
    """

    weights: str = RANDOM
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _no_checksum_of_nothing(self) -> WeightsSettings:
        if self.weights == RANDOM and self.sha256:
            raise ValueError("sha256 is given but weights are random; name a file or an address")
        return self

    @property
    def is_random(self) -> bool:
        """Whether no pretrained weights are used."""
        return self.weights == RANDOM

    @property
    def is_remote(self) -> bool:
        """Whether the weights have to be downloaded."""
        return urlsplit(self.weights).scheme in ("http", "https")


def locate(settings: WeightsSettings, cache: Path) -> tuple[Path, str]:
    """Returns the verified weights file and its SHA-256, downloading it if need be.

    Raises:
        PipelineError: no such file, a failed download, or a wrong checksum.
    """
    if not settings.is_remote:
        path = Path(settings.weights).expanduser()
        return path, verify(path, settings.sha256)
    name = Path(urlsplit(settings.weights).path).name or "weights"
    key = hashlib.sha256(settings.weights.encode()).hexdigest()[:12]
    path = cache.expanduser() / f"{key}-{name}"
    pin = path.with_name(path.name + ".sha256")
    expected = settings.sha256 or (pin.read_text().strip() if pin.is_file() else None)
    if not path.is_file():
        download(settings.weights, path)
        try:
            found = verify(path, expected)
        except PipelineError:
            path.unlink()
            raise
        if expected is None:
            say(f"{settings.weights}: no sha256 in the config, pinned {found} on first use")
            with writing(pin) as temporary:
                temporary.write_text(found + "\n")
        return path, found
    return path, verify(path, expected)


def verify(path: Path, expected: str | None) -> str:
    """Returns the file's SHA-256.

    Raises:
        PipelineError: it cannot be read, or it is not the expected one.
    """
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PipelineError(f"weights {path}: cannot be read ({error.strerror})") from error
    if expected not in (None, found):
        raise PipelineError(
            f"weights {path}: SHA-256 is {found}, expected {expected}; "
            "delete the file or correct sha256 in the config"
        )
    return found


def download(url: str, path: Path) -> None:
    """Downloads a file, resuming where an earlier attempt broke off.

    Raises:
        PipelineError: the address answers with an error, or breaks off on every attempt.
    """
    partial = path.with_name(path.name + ".part")
    partial.parent.mkdir(parents=True, exist_ok=True)
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(2**attempt / 2)
        try:
            if _download_rest(url, partial):
                partial.replace(path)
                return
            problem = "the connection broke off"
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code}"
            if error.code == 416:  # what is here is not the beginning of what is there
                partial.unlink(missing_ok=True)
            elif error.code < 500 and error.code != 429:
                break
        except OSError as error:
            problem = str(getattr(error, "reason", error))
    raise PipelineError(
        f"{url}: download failed ({problem}); run again to resume, or give a local file"
    )


def _download_rest(url: str, partial: Path) -> bool:
    """Appends what is missing; returns whether the file is complete."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        resumed = response.status == 206
        length = response.headers.get("Content-Length")
        expected = None if length is None else int(length) + (have if resumed else 0)
        size = have if resumed else 0
        total = max(1, math.ceil((expected or 0) / CHUNK_BYTES))
        with (
            open(partial, "ab" if resumed else "wb") as file,
            Progress(url, total, "MiB") as progress,
        ):
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                size += len(chunk)
                progress.advance()
        return expected is None or size == expected


def load_state(path: Path) -> dict[str, Any]:
    """Returns the tensors of a state dict file; never runs code from it.

    A training checkpoint's ``state_dict`` or ``model`` entry is looked into, and the ``module.``
    prefix of data-parallel training is removed.

    Raises:
        PipelineError: the file is damaged or would need code to load.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise PipelineError(
            f"weights {path}: holds more than tensors, and loading that could run code; "
            "open it where you trust it and save its state_dict alone"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise PipelineError(f"weights {path}: damaged or not a PyTorch file") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise PipelineError(f"weights {path}: no state dict in it but a {type(content).__name__}")
    return {name.removeprefix("module."): value for name, value in content.items()}


def fill(
    network: torch.nn.Module,
    settings: WeightsSettings,
    cache: Path,
    unused: Iterable[str] = (),
    initialise: Callable[[torch.nn.Module, int], None] | None = None,
) -> str:
    """Gives a network its parameters and returns what they are: a SHA-256 or ``random:<seed>``.

    Args:
        network: filled in place.
        settings: where from.
        cache: where downloads are kept.
        unused: names that the file has and the network does not need, such as a classifier.
        initialise: fills a network from a seed; `kaiming` by default.

    Raises:
        PipelineError: the file is not this network's.
    """
    if settings.is_random:
        (initialise or kaiming)(network, settings.seed)
        return f"random:{settings.seed}"
    path, sha256 = locate(settings, cache)
    state = {name: value for name, value in load_state(path).items() if name not in set(unused)}
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise PipelineError(
            f"weights {path}: not the weights of this network ({' '.join(lines[1:2]).strip()})"
        ) from error
    return sha256


def kaiming(network: torch.nn.Module, seed: int) -> None:
    """Fills weights with He et al.'s (2015) normal initialisation, biases with zero.

    It keeps the scale of the activations through many ReLU layers, so that what random
    convolutions see survives to the last one. Normalisation layers keep their initial values.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                fan_in = math.prod(parameter.shape[1:])
                parameter.normal_(0.0, math.sqrt(2.0 / fan_in), generator=generator)
            elif name.endswith("bias"):
                parameter.zero_()
