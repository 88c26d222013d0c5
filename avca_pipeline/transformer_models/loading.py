"""Networks, processors and tokenizers from the files of a model.

The library reads a folder and nothing else: no network is asked and no code of a repository runs.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching.library_names import is_written
from avca_pipeline.fetching.network_weights import freeze
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.transformer_models.families import TOWERS, Task, Tower
from avca_pipeline.transformer_models.model_files import CONFIG, read_config, weights_sha256
from avca_pipeline.transformer_models.stated_numbers import whole_number


def check_installed(task: Task, tower: Tower) -> None:
    """Checks that the installed library has a tower, without importing it.

    Raises:
        PipelineError: it is not installed, too old, or lacks the tower.
    """
    version = _version()
    if not _has(tower):
        towers = {name: one for name, one in TOWERS[task].items() if _has(one)}
        raise PipelineError(
            f"transformers {version} has no {tower.network}; a later version may; for {task} it "
            f"has: {', '.join(sorted(towers))}"
        )


def _version() -> str:
    """Returns the version of the library.

    Raises:
        PipelineError: it is not installed, or too old.
    """
    if importlib.util.find_spec("transformers") is None:
        raise PipelineError(
            "models by name need the package transformers: "
            "pip install 'avca_pipeline[transformers]'"
        )
    version = importlib.metadata.version("transformers")
    if int(version.partition(".")[0]) < 5:
        raise PipelineError(f"transformers {version} is too old; version 5 is needed")
    return version


def _has(tower: Tower) -> bool:
    return is_written("transformers", "models/auto/modeling_auto.py", f'"{tower.network}"')


@functools.cache
def library() -> Any:
    """Returns the library.

    Raises:
        PipelineError: it is not installed, or too old.
    """
    _version()
    transformers = importlib.import_module("transformers")
    # What a checkpoint holds beside the tower, and how fast files are read, is of no interest.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def build(folder: Path, tower: Tower, settings: WeightsSettings) -> tuple[torch.nn.Module, str]:
    """Returns a tower in evaluation mode, and what its parameters are.

    Args:
        folder: with the model's files.
        tower: which part of the model.
        settings: whether the weights are those of the folder or random.

    Raises:
        PipelineError: the files are damaged, or are not those of such a model.
    """
    network_class = _named(tower.network)
    try:
        config = _config(network_class, folder)
        if settings.is_random:
            weights = f"random:{settings.seed}"
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(settings.seed)
                network = network_class(config)
            missing: list[str] = []
        else:
            weights = weights_sha256(folder)
            network, report = network_class.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
            missing = sorted(report["missing_keys"])
    except PipelineError:
        raise
    except Exception as error:  # the library raises whatever damaged files make it meet
        raise PipelineError(
            f"{folder}: damaged, or not the files of a {tower.network} ({_line(error)})"
        ) from error
    if missing:
        raise PipelineError(
            f"{folder}: not the weights of a {tower.network}: {missing[0]} is missing"
        )
    if settings.sha256 not in (None, weights):
        raise PipelineError(
            f"{folder}: SHA-256 of the weights is {weights}, expected {settings.sha256}; "
            "correct sha256 in the config"
        )
    for name in tower.unused:
        part, _, last = name.rpartition(".")
        owner = network.get_submodule(part)
        if hasattr(owner, last):
            delattr(owner, last)
    return freeze(network, settings), weights


@functools.lru_cache(maxsize=8)
def processor(folder: Path, name: str) -> Any:
    """Returns what prepares pictures or sound, by the settings in a folder.

    Args:
        folder: with the model's files.
        name: of the library's class.

    Raises:
        PipelineError: the settings are missing or damaged.
    """
    try:
        return _named(name).from_pretrained(folder, local_files_only=True)
    except PipelineError:
        raise
    except Exception as error:
        raise PipelineError(
            f"{folder}: has no settings of a {name} that can be read ({_line(error)})"
        ) from error


def tokenizer(folder: Path) -> Any:
    """Returns what turns texts into tokens, by the files in a folder.

    Raises:
        PipelineError: the files are missing or damaged.
    """
    try:
        return library().AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except PipelineError:
        raise
    except Exception as error:
        raise PipelineError(
            f"{folder}: has no tokenizer that can be read ({_line(error)})"
        ) from error


def num_frames(folder: Path, tower: Tower, default: int) -> int:
    """Returns how many frames a model's videos have.

    Args:
        folder: with the model's files; ``config.json`` may leave out what is the library's default.
        tower: which says where the number stands.
        default: for models that take any number.

    Raises:
        PipelineError: the ``config.json`` is damaged.
    """
    if not tower.num_frames:
        return default
    config = read_config(folder)
    try:
        value: Any = _named(tower.network).config_class.from_dict(config)
        for name in tower.num_frames:
            value = getattr(value, name)
    except PipelineError:
        raise
    except Exception as error:
        raise PipelineError(f"{folder / CONFIG}: cannot be read ({_line(error)})") from error
    return whole_number(folder / CONFIG, ".".join(tower.num_frames), value)


def _config(network_class: Any, folder: Path) -> Any:
    """Returns the settings of a network, which say what it is and not which code computes it.

    A model's files may name an implementation of attention, which the library would download and
    run. Without a name, the library takes the one of its own that it takes for any model.
    """
    config = network_class.config_class.from_pretrained(folder, local_files_only=True)
    # The library does the same for all parts of the config.
    config._attn_implementation = None
    config._experts_implementation = None
    return config


def _named(name: str) -> Any:
    try:
        return getattr(library(), name)
    except (AttributeError, ImportError) as error:
        raise PipelineError(
            f"transformers {library().__version__} has no {name}; a later version may"
        ) from error


def _line(error: Exception) -> str:
    """Returns the first line of what the library says, which may be a page."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
