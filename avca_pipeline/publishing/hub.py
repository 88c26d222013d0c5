"""Uploads a folder to the Hugging Face Hub, to a repository of the user's account."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avca_pipeline.errors import PipelineError

_TARGET = re.compile(
    r"hf:([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([A-Za-z0-9][\w.-]*))?", re.ASCII
)


@dataclass(frozen=True)
class Target:
    """Where a folder goes.

    Attributes:
        name: of the repository, ``owner/name``.
        branch: of it, which is made if it is not there; empty for the main one.
    """

    name: str
    branch: str = ""


def target(written: str) -> Target:
    """Returns what ``hf:owner/name`` or ``hf:owner/name@branch`` means.

    Raises:
        PipelineError: it is neither.
    """
    match = _TARGET.fullmatch(written)
    if match is None:
        raise PipelineError(
            f"--to: {written!r}: write hf:owner/name or hf:owner/name@branch, such as "
            "hf:me/features"
        )
    return Target(match[1], match[2] or "")


def check() -> None:
    """Raises `PipelineError` unless uploads are possible, before anything is written."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise PipelineError(
            "--to: the library huggingface_hub is missing: pip install 'avca_pipeline[hub]'"
        ) from error
    if huggingface_hub.get_token() is None:
        raise PipelineError(
            "--to: the Hub does not know you: run 'hf auth login', or put a token into the "
            "environment variable HF_TOKEN"
        )


def upload(folder: Path, to: Target, kind: Literal["dataset", "model"]) -> str:
    """Uploads a folder in one commit, and returns the name of the commit.

    The repository is made if it is not there, visible to its owner alone. What an earlier commit
    has put there and is not in the folder stays.

    Args:
        folder: whose files are uploaded.
        to: the repository.
        kind: what it holds.

    Raises:
        PipelineError: the library is missing, or the Hub refuses.
    """
    check()
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    # Read here, and not by the library, which looks once while it is imported.
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), library_name="avca_pipeline")
    try:
        api.create_repo(to.name, repo_type=kind, private=True, exist_ok=True)
        if to.branch:
            api.create_branch(to.name, branch=to.branch, repo_type=kind, exist_ok=True)
        commit = api.upload_folder(
            folder_path=folder,
            repo_id=to.name,
            repo_type=kind,
            revision=to.branch or None,
            commit_message="Published by avca_pipeline",
        )
    except (OSError, ValueError, _error_of_the_network(HfHubHTTPError)) as error:
        raise PipelineError(
            f"--to: hf:{to.name}: the Hub refuses the upload ({_first_line(error)}); the folder "
            f"{folder} is written and can be uploaded later"
        ) from error
    return str(commit.oid)


def _error_of_the_network(refusal: type[Exception]) -> type[Exception]:
    """Returns what the HTTP library raises; which library that is depends on the Hub's client."""
    return next(
        (
            base
            for base in refusal.__mro__
            if issubclass(base, Exception) and base.__name__ == "HTTPError"
        ),
        refusal,
    )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
