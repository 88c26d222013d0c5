"""Where the files of a model or of published features lie: a folder, or a repository.

A repository is downloaded once and verified.

Nothing but data is ever taken: weights as safetensors, and settings and vocabularies as JSON and
text. Code in a repository is not downloaded.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from avca_pipeline.artifacts.atomic import file_sha256
from avca_pipeline.errors import PipelineError
from avca_pipeline.fetching import pinned
from avca_pipeline.fetching.web_addresses import AddressError
from avca_pipeline.fetching.web_files import download
from avca_pipeline.runtime.addresses import shown
from avca_pipeline.transformer_models.model_files import (
    CONFIG,
    INDEX,
    NAME,
    SETTINGS,
    WEIGHTS,
    read_config,
    read_json,
    weights_files,
)

logger = logging.getLogger(__name__)

HUB = "https://huggingface.co"
DATASETS = "datasets"
"""Stands before the names of datasets in addresses of the Hub."""
MAIN = "main"
REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]*")
COMMIT = re.compile(r"[0-9a-f]{40}")
LISTING = "repository.json"


@dataclass(frozen=True)
class Repository:
    """A model in a repository.

    Attributes:
        address: of the repository, ``https://host/owner/name``.
        revision: a branch, a tag or a commit.
        folder: where its files are kept.
    """

    address: str
    revision: str
    folder: Path


def is_folder(model: str) -> bool:
    """Returns whether a model is named by the folder that it lies in."""
    return model.startswith(("/", "~", "."))


def check_name(model: str) -> str:
    """Returns a model's name.

    Raises:
        ValueError: it is no folder, no address and no name of a repository.
    """
    if is_folder(model):
        return model
    parts = urlsplit(model)
    is_address = parts.scheme in ("http", "https")
    name = parts.path.strip("/") if is_address else model
    # Reading the port raises ValueError where it is none.
    is_whole = not is_address or (parts.hostname and parts.port != 0)
    if is_address and ("?" in model or "#" in model):
        raise ValueError("the address of a repository ends with owner/name; leave out ? and #")
    if not is_whole or not NAME.fullmatch(name):
        raise ValueError(
            "write owner/name, the http(s) address of a repository, or a folder that begins with "
            "/, ~ or ."
        )
    return model


def repository(model: str, revision: str | None, cache: Path) -> Repository:
    """Returns where a model that is no folder is downloaded from and to."""
    parts = urlsplit(model)
    is_address = parts.scheme in ("http", "https")
    address = model.rstrip("/") if is_address else f"{HUB}/{model}"
    host = "" if not is_address else f"{parts.netloc.rpartition('@')[2]}--"
    name = parts.path.strip("/") if is_address else model
    revision = revision or MAIN
    key = f"{host}{name}@{revision}".replace("/", "--").replace(":", "-")
    return Repository(address, revision, cache.expanduser() / "models" / key)


def look_up(model: str, revision: str | None, cache: Path) -> tuple[Path, dict[str, Any]]:
    """Returns a model's folder and its ``config.json``, and downloads hardly more than that.

    Raises:
        PipelineError: there is no such model, or it has no weights as safetensors.
    """
    if is_folder(model):
        folder = Path(model).expanduser()
        weights_files(folder)
        return folder, read_config(folder)
    source = repository(model, revision, cache)
    listing = _listing(model, source)
    _listed_weights(model, listing)
    if CONFIG not in listing["files"]:
        raise PipelineError(f"model {model!r}: its repository has no {CONFIG}")
    _obtain(source, listing, CONFIG)
    return source.folder, read_json(source.folder / CONFIG)


def identity(model: str, revision: str | None, cache: Path) -> str:
    """Returns the name of a model that has been looked up: its folder, or ``address@commit``."""
    if is_folder(model):
        return str(Path(model).expanduser().resolve())
    source = repository(model, revision, cache)
    return f"{shown(source.address)}@{_listing(model, source)['commit']}"


def obtain(model: str, revision: str | None, cache: Path) -> Path:
    """Returns the folder with a model's verified files, which are downloaded if need be.

    Of a branch, the commit at first use is kept: the features stay the same.

    Raises:
        PipelineError: there is no such model, a download failed, or a file is not as listed.
    """
    folder, _ = look_up(model, revision, cache)
    if is_folder(model):
        return folder
    source = repository(model, revision, cache)
    listing = _listing(model, source)
    names = sorted(SETTINGS & set(listing["files"]))
    shards = _listed_weights(model, listing)
    if any(not (folder / name).is_file() for name in shards):
        logger.info(f"{shown(source.address)}: licence: {listing['licence'] or 'not stated'}")
    for name in [*names, *shards]:
        _obtain(source, listing, name)
    return folder


def dataset_files(name: str, revision: str, cache: Path, files: Sequence[str]) -> Path:
    """Returns the folder with verified files of a dataset's repository, downloaded if need be.

    Args:
        name: of the repository, ``owner/name``.
        revision: a commit, or a branch or tag, of which the commit at first use is kept.
        cache: where downloads are kept.
        files: names of the files; those that the repository does not have are left out.

    Raises:
        PipelineError: there is no such repository, a download failed, or a file is not as listed.
    """
    hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    source = repository(f"{hub}/{DATASETS}/{name}", revision, cache)
    listing = _listing(name, source, "dataset")
    for file in files:
        if file in listing["files"]:
            _obtain(source, listing, file)
    return source.folder


def _listing(model: str, source: Repository, kind: str = "model") -> dict[str, Any]:
    """Returns a repository's commit, licence and files; what was listed first stays."""
    path = source.folder / LISTING
    parts = urlsplit(source.address)
    path_of_kind = parts.path if kind == "dataset" else f"/models{parts.path}"
    api = f"{parts.scheme}://{parts.netloc}/api{path_of_kind}/revision/"
    if not path.is_file():
        try:
            download(f"{api}{quote(source.revision, safe='')}?blobs=true", path)
        except AddressError as error:
            raise _missing(kind, model, source, error) from error
        except PipelineError as error:
            if "HTTP 401" in str(error) or "HTTP 403" in str(error):
                raise _missing(kind, model, source, error) from error
            raise
        is_first = True
    else:
        is_first = False
    try:
        listing = _parsed(read_json(path))
        if COMMIT.fullmatch(source.revision) and listing["commit"] != source.revision:
            raise PipelineError(f"{path}: lists another commit than {source.revision}")
    except PipelineError:
        path.unlink(missing_ok=True)
        raise
    if is_first and source.revision != listing["commit"]:
        logger.info(
            f"{shown(source.address)}: {source.revision} is commit {listing['commit']}, pinned on "
            "first use"
        )
    return listing


def _missing(kind: str, model: str, source: Repository, error: Exception) -> PipelineError:
    return PipelineError(
        f"{kind} {model!r}: there is no such repository or revision ({source.revision}), or it is "
        f"not public ({error}); correct the name, or give a local folder"
    )


def _parsed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parts of a hub's answer that are used here."""
    try:
        files = {
            str(entry["rfilename"]): {
                "sha256": str((entry.get("lfs") or {}).get("sha256") or ""),
                "blob": str(entry.get("blobId") or ""),
            }
            for entry in content["siblings"]
        }
        commit = str(content["sha"])
        licence = (content.get("cardData") or {}).get("license")
    except (KeyError, TypeError, AttributeError) as error:
        raise PipelineError(f"{LISTING}: not the list of a repository's files") from error
    if not COMMIT.fullmatch(commit):
        raise PipelineError(f"{LISTING}: names no commit")
    return {"commit": commit, "licence": str(licence or ""), "files": files}


def _listed_weights(model: str, listing: Mapping[str, Any]) -> list[str]:
    """Returns the names of the files with the weights, and of their index if there is one."""
    files = listing["files"]
    if WEIGHTS in files:
        return [WEIGHTS]
    shards = [name for name in files if re.fullmatch(r"model-\d+-of-\d+\.safetensors", name)]
    if INDEX in files and shards:
        return [INDEX, *sorted(shards)]
    raise PipelineError(
        f"model {model!r}: its repository has no {WEIGHTS}; weights are taken as safetensors "
        "alone, because loading others could run code; name a revision that has them"
    )


def _obtain(source: Repository, listing: Mapping[str, Any], name: str) -> None:
    """Downloads a file of a repository unless it is there, and verifies it in any case.

    Where the repository states no checksum, that of the first download counts from then on.
    """
    path, stated = source.folder / name, listing["files"][name]
    url = f"{source.address}/resolve/{listing['commit']}/{name}"
    if not stated["sha256"] and not stated["blob"]:
        remedy = f"delete {source.folder} and run again"
        pinned.obtain(url, path, kind="model", remedy=remedy)
        return

    def check(arrived: Path) -> None:
        digest = file_sha256(arrived) if stated["sha256"] else _blob(arrived)
        expected = stated["sha256"] or stated["blob"]
        if expected and digest != expected:
            raise PipelineError(
                f"{shown(url)}: is not the file that its repository lists ({digest}, expected "
                f"{expected}); delete {source.folder} and run again"
            )

    if not path.is_file():
        download(url, path, verify=check)
    check(path)


def _blob(path: Path) -> str:
    """Returns what git calls the content of a file."""
    content = path.read_bytes()
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
