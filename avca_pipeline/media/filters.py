"""Filters of sound from librosa, wherever nothing can be written."""

from __future__ import annotations

import importlib
import os
from typing import Any

CACHE = "XDG_CACHE_HOME"


def librosa_filters() -> Any:
    """Returns the module ``librosa.filters``.

    Importing librosa asks for the home folder, and has numba look for a folder in which it could
    keep compiled functions; it raises where there is no such folder. The filters themselves are
    plain NumPy and keep nothing, so that librosa is then imported without the compiler.
    """
    try:
        return importlib.import_module("librosa.filters")
    except RuntimeError:
        compiler = importlib.import_module("numba").config
        before = os.environ.get(CACHE), compiler.DISABLE_JIT
        os.environ[CACHE], compiler.DISABLE_JIT = "/nonexistent", True
        try:
            return importlib.import_module("librosa.filters")
        finally:
            del os.environ[CACHE]
            if before[0] is not None:
                os.environ[CACHE] = before[0]
            compiler.DISABLE_JIT = before[1]
