"""Reads the features of a run: into memory where there is room for them, else row by row later."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from avca_pipeline.artifacts import features
from avca_pipeline.artifacts.features import Features
from avca_pipeline.models import AnyModel, ModelSettings, defaults
from avca_pipeline.runtime import memory

SHARE_OF_MEMORY = 1 / 8
"""Features in memory need room four times while clips are joined and scaled; two files of them may
be of this size."""


def read(plugin: AnyModel, paths: Mapping[str, Path]) -> dict[str, Features]:
    """Returns the features of each modality; those larger than the share stay in their file.

    Args:
        plugin: the method. One that looks at all clips at once, to check them or to get ready for
            the classes, needs them in memory.
        paths: modality to the file of its features.

    Raises:
        FormatError: as `features.read`.
    """
    looks_at_all = (
        plugin.adapt_to_classes is not defaults.adapt_to_classes
        or plugin.Settings.check_features is not ModelSettings.check_features
    )
    most_bytes = math.inf if looks_at_all else SHARE_OF_MEMORY * memory.bytes_of_this_job()
    return {name: features.read(path, most_bytes=most_bytes) for name, path in paths.items()}
