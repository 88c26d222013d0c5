"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def shared_folder(*parts: str) -> Path:
    """Returns a path in the folder of golden data and real clips, or skips the test.

    The data are not part of this repository. ``AVCA_SHARED`` says where they are; by default
    ``../shared`` beside the checkout. In CI their absence is a failure.
    """
    path = Path(os.environ.get("AVCA_SHARED", REPOSITORY.parent / "shared")).joinpath(*parts)
    if not path.exists():
        message = f"{path} is absent: golden data are not part of the repository, set AVCA_SHARED"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
