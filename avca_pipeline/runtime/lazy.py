"""``torch`` on first use.

Importing torch takes seconds. The workflow file and ``avca --help`` read the settings of every
plugin but compute nothing, so plugins write ``from avca_pipeline.runtime.lazy import torch`` and
use it inside functions; nothing else about the name differs from the real module.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["torch"]


class _Torch:
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("torch"), name)


if TYPE_CHECKING:
    import torch
else:
    torch = _Torch()
