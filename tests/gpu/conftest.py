"""Tests that need a GPU.

Without one they are skipped with the reason, and fail where ``AVCA_REQUIRE_GPU=1``. With
``AVCA_GPU_TESTS_ON=cpu`` those that can run on a CPU run there: to try the tests themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# cuBLAS reads it when it is first used, and gives the same bits each time only with it.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch


def _why_there_is_no_gpu() -> str:
    """Returns why torch has no GPU; an empty text if it has one."""
    if not torch.cuda.is_available():
        build = "is built for CUDA " + torch.version.cuda if torch.version.cuda else "has no CUDA"
        return f"torch {torch.__version__} {build} and sees no GPU"
    return ""


@pytest.fixture
def device() -> Iterator[str]:
    """The device to test; afterwards torch computes again as it did before."""
    if os.environ.get("AVCA_GPU_TESTS_ON") == "cpu":
        yield "cpu"
        return
    if reason := _why_there_is_no_gpu():
        if os.environ.get("AVCA_REQUIRE_GPU") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    yield "cuda"
    torch.use_deterministic_algorithms(was_deterministic)
    torch.cuda.empty_cache()


@pytest.fixture
def gpu(device: str) -> str:
    """As ``device``, for what no CPU can show."""
    if device == "cpu":
        pytest.skip("AVCA_GPU_TESTS_ON=cpu: this needs streams, events or memory of a GPU")
    return device
