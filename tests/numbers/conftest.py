"""What several tests of this folder need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from avca_pipeline import models, registry


@pytest.fixture
def methods_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The methods in the folder `plugins`, as some of ours."""
    here = str(Path(__file__).parent / "plugins")
    monkeypatch.setattr(models, "__path__", [*models.__path__, here])
    registry._own_names.cache_clear()
    yield
    registry._own_names.cache_clear()
