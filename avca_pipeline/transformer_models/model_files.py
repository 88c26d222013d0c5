"""The files of a model in a folder: which there are, and what the library takes of them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts.atomic import file_sha256
from avca_pipeline.artifacts.text_files import parse_json
from avca_pipeline.errors import PipelineError

NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
OTHER_WEIGHTS = "transformers_weights"
SETTINGS = frozenset(
    (
        CONFIG, "preprocessor_config.json", "video_preprocessor_config.json",
        "processor_config.json", "tokenizer.json", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
        "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
    )
)  # fmt: skip
"""The files beside the weights, as far as a repository has them."""


def weights_files(folder: Path) -> list[Path]:
    """Returns the files with a model's weights, which are those that the library loads.

    A whole file comes before an index of several.

    Raises:
        PipelineError: there are none as safetensors.
    """
    if not (folder / WEIGHTS).is_file() and (folder / INDEX).is_file():
        shards = read_json(folder / INDEX).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise PipelineError(f"{folder / INDEX}: names no files")
        names = sorted({str(name) for name in shards.values()})
        if any(not NAME.fullmatch(name) or "/" in name for name in names):
            raise PipelineError(f"{folder / INDEX}: names files outside of the folder")
    else:
        names = [WEIGHTS]
    for name in names:
        if not (folder / name).is_file():
            raise PipelineError(
                f"{folder}: has no {name}; weights are taken as safetensors alone, because "
                "loading others could run code"
            )
    return [folder / name for name in names]


def weights_sha256(folder: Path) -> str:
    """Returns the SHA-256 of a model's weights: that of the file, or of the list of several."""
    digests = {path.name: file_sha256(path) for path in weights_files(folder)}
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the ``config.json`` of a model.

    Raises:
        PipelineError: it cannot be read, or makes the library load other files than `weights_files`
            returns.
    """
    config = read_json(folder / CONFIG)
    if _has_key(config, OTHER_WEIGHTS):
        raise PipelineError(
            f"{folder / CONFIG}: {OTHER_WEIGHTS} names other weights than {WEIGHTS}; remove the "
            f"key, and name the file {WEIGHTS}"
        )
    return config


def _has_key(value: Any, key: str) -> bool:
    """Returns whether a section, or one within it, has a key with a value."""
    if not isinstance(value, dict):
        return False
    return value.get(key) is not None or any(_has_key(part, key) for part in value.values())


def settings_files(folder: Path) -> list[Path]:
    """Returns the files beside the weights, as far as they are there."""
    return [folder / name for name in sorted(SETTINGS) if (folder / name).is_file()]


def read_json(path: Path) -> dict[str, Any]:
    """Returns what a JSON file says.

    Raises:
        PipelineError: it cannot be read, or is not such a file.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise PipelineError(f"{path}: is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise PipelineError(f"{path}: is not the JSON file of a model")
    return content
