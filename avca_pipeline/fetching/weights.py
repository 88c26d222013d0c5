"""Pretrained weights: found or downloaded once, verified, and loaded without running code."""

from __future__ import annotations

import hashlib
import logging
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from avca_pipeline.artifacts.atomic import atomic_write, file_sha256
from avca_pipeline.artifacts.checkpoint import check_size
from avca_pipeline.artifacts.pickled_arrays import MEANINGS, PickledArray, PickledType
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.web_files import download
from avca_pipeline.runtime.addresses import shown
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.settings import PluginSettings, Seed

logger = logging.getLogger(__name__)

RANDOM = "random"
PUBLISHED = "published"


def _readable(place: str) -> str:
    try:
        _ = urlsplit(place).port
    except ValueError as error:
        raise ValueError(f"no address: {error}") from error
    return place


# A file or an address; what is neither is refused with the settings.
FileOrAddress = Annotated[str, AfterValidator(_readable)]


@dataclass(frozen=True)
class Published:
    """Weights that somebody else publishes.

    Attributes:
        url: where they are.
        licence: on which terms, told to the user with the download.
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
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
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
    """Returns whether weights are a file of the user's."""
    return weights not in (None, RANDOM, PUBLISHED) and not is_remote(str(weights))


def locate(
    weights: str, sha256: str | None, cache: Path, published: Published | None = None
) -> tuple[Path, str]:
    """Returns the verified weights file and its SHA-256, downloading it if need be.

    Args:
        weights: ``published``, a local file, or an address.
        sha256: what the file must hash to, if that is known.
        cache: where downloads are kept.
        published: what ``published`` stands for.

    Raises:
        PipelineError: no such file, a failed download, or a wrong checksum.
    """
    prefix = ""
    if weights == PUBLISHED:
        if published is None:
            raise PipelineError(
                f"weights: {PUBLISHED}: none are known for this backbone; give a file or an address"
            )
        weights, prefix = published.url, published.sha256_prefix
    if not is_remote(weights):
        path = Path(weights).expanduser()
        return path, verify(path, sha256)
    name = Path(urlsplit(weights).path).name or "weights"
    key = hashlib.sha256(weights.encode()).hexdigest()[:12]
    path = cache.expanduser() / f"{key}-{name}"
    if published is not None and weights == published.url and not path.is_file():
        logger.info(f"{shown(weights)}: licence: {published.licence}")
    return path, pinned(weights, path, sha256 or "", prefix)


def pinned(address: str, path: Path, sha256: str = "", prefix: str = "") -> str:
    """Returns the SHA-256 of a file that is downloaded if need be, and the same at every use.

    Args:
        address: of the file.
        path: where it is kept; whoever is first writes down beside it what it hashed to.
        sha256: what it must hash to, if that is known.
        prefix: what that begins with, if only so much is known.

    Raises:
        PipelineError: a failed download, or a wrong checksum; then nothing is kept.
    """
    pin = pin_of(path)
    expected = sha256 or (pin.read_text(encoding="utf-8").strip() if pin.is_file() else prefix)
    if not path.is_file():

        def check(arrived: Path) -> None:
            found = file_sha256(arrived)
            if not found.startswith(expected):
                raise PipelineError(
                    f"{shown(address)}: SHA-256 is {found}, expected {expected}; correct sha256 "
                    "in the config, or give a local file"
                )

        download(address, path, verify=check)
    found = verify(path, expected)
    if not sha256 and not pin.is_file():
        logger.info(f"{shown(address)}: its checksum is not known, pinned {found} on first use")
        with atomic_write(pin) as temporary:
            temporary.write_text(found + "\n", encoding="utf-8")
    return found


def pin_of(path: Path) -> Path:
    """Returns the file beside a download that says what it hashed to when it was first used."""
    return path.with_name(path.name + ".sha256")


def verify(path: Path, expected: str | None) -> str:
    """Returns the file's SHA-256.

    Args:
        path: of the file.
        expected: what the SHA-256 must be, or begin with; nothing if that is not known.

    Raises:
        PipelineError: it cannot be read, or it is not the expected one.
    """
    try:
        found = file_sha256(path)
    except OSError as error:
        raise PipelineError(f"weights {path}: cannot be read ({error.strerror})") from error
    if not found.startswith(expected or ""):
        raise PipelineError(
            f"weights {path}: SHA-256 is {found}, expected {expected}; "
            "delete the file or correct sha256 in the config"
        )
    return found


def load_state(path: Path) -> dict[str, Any]:
    """Returns the tensors of a state dict file; never runs code from it.

    A training checkpoint's ``state_dict`` or ``model`` entry is looked into, and the ``module.``
    prefix of data-parallel training is removed. NumPy arrays, which VGGish's PCA comes as, are
    numbers too.

    Raises:
        PipelineError: the file is damaged or would need code to load.
    """
    try:
        check_size(path)
        with torch.serialization.safe_globals(_numpy_globals()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise PipelineError(
            f"weights {path}: holds more than tensors, and loading that could run code; "
            "open it where you trust it and save its state_dict alone"
        ) from error
    except Exception as error:  # Damaged bytes make the unpickler raise whatever it meets.
        raise PipelineError(f"weights {path}: damaged or not a PyTorch file") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise PipelineError(f"weights {path}: no state dict in it but a {type(content).__name__}")
    try:
        return {
            str(name).removeprefix("module."): (
                torch.as_tensor(value.numbers()) if isinstance(value, PickledArray) else value
            )
            for name, value in content.items()
        }
    except (TypeError, ValueError) as error:
        raise PipelineError(f"weights {path}: damaged or not numbers ({error})") from error


def _numpy_globals() -> list[Any]:
    """Returns what stands for NumPy's names while arrays of numbers are read."""
    named = [(meaning, f"{module}.{name}") for (module, name), meaning in MEANINGS.items()]
    return [*named, PickledArray, PickledType]


def fill(
    network: torch.nn.Module,
    settings: WeightsSettings,
    cache: Path,
    *,
    published: Published | None = None,
    prefix: str = "",
    unused: Callable[[str], bool] = lambda name: False,
) -> str:
    """Gives a network its parameters and returns what they are: a SHA-256 or ``random:<seed>``.

    Args:
        network: filled in place, put into eval mode and into the settings' precision.
        settings: where from.
        cache: where downloads are kept.
        published: what the backbone's authors publish.
        prefix: what the file puts before the names of this network's parameters.
        unused: whether a name that the file has and the network does not need is expected, such
            as a classifier's.

    Raises:
        PipelineError: the file is not this network's.
    """
    if settings.is_random:
        kaiming(network, settings.seed)
        what = f"random:{settings.seed}"
    else:
        path, what = locate(settings.weights, settings.sha256, cache, published)
        state = {
            name.removeprefix(prefix): value
            for name, value in _loaded(path, cache).items()
            if not unused(name)
        }
        try:
            network.load_state_dict(state, strict=True)
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise PipelineError(
                f"weights {path}: not the weights of this network ({' '.join(lines[1:2]).strip()})"
            ) from error
    ready(network, settings)
    return what


def ready(network: torch.nn.Module, settings: WeightsSettings) -> torch.nn.Module:
    """Returns a network in eval mode, without gradients, in the settings' precision."""
    network.eval().requires_grad_(False)
    return network.to(torch.bfloat16) if settings.precision == "bf16" else network


def state_sha256(network: torch.nn.Module) -> str:
    """Returns the SHA-256 of a network's parameters, for weights that come without a file."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _loaded(path: Path, cache: Path) -> dict[str, Any]:
    """Returns a file's tensors; a download that turns out to be none is not kept or pinned."""
    try:
        return load_state(path)
    except PipelineError:
        if path.parent == cache.expanduser():
            path.unlink(missing_ok=True)
            pin_of(path).unlink(missing_ok=True)
        raise


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
