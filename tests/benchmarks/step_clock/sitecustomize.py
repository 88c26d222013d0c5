"""Notes the CPU time of each epoch's training steps, in every Python process that finds this file.

Python imports ``sitecustomize`` when it starts, if it finds one. This one appends a line to the
file that the environment variable ``AVCA_STEP_CLOCK`` names, for each epoch of any training. So the
steps of a whole workflow can be told from all the rest, at any commit of the package.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

WATCHED = "avca_pipeline.training.fit"


class _Watch:
    """Finds the module that trains, and has its epochs timed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != WATCHED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Timed(spec.loader.name, spec.loader.path)
        return spec


class _Timed(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        train_epoch = module.train_epoch

        def timed(*arguments: Any, **named: Any) -> Any:
            began_s = time.process_time()
            result = train_epoch(*arguments, **named)
            with open(os.environ["AVCA_STEP_CLOCK"], "a", encoding="ascii") as file:
                file.write(f"{time.process_time() - began_s}\n")
            return result

        module.train_epoch = timed  # type: ignore[attr-defined]


if os.environ.get("AVCA_STEP_CLOCK"):
    sys.meta_path.insert(0, _Watch())
