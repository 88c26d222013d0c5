"""Takes the paths of this machine, and secrets of addresses, out of what is published."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from avca_pipeline.artifacts.text_files import canonical_json, parse_json
from avca_pipeline.runtime.addresses import redacted
from avca_pipeline.runtime.sealing import without_secrets

_NAMES = r"(?:[^/\s'\"<>|:;,()\[\]{}]+/)*"
# What stands before the slash of a path tells it from an address, a fraction, or a name with a
# slash in it.
_FOLDERS = re.compile(rf"(?<![\w:/.\\…-])~?/{_NAMES}(?=[^\s/])")


def without_places(value: Any, *folders: Path) -> Any:
    """Returns a value of JSON in which each path of this machine is the name of its file.

    Args:
        value: settings, or what was written of them. A text that is JSON stays JSON.
        folders: whose paths may stand in a text, and may have spaces in them.
    """
    if isinstance(value, dict):
        return {key: without_places(item, *folders) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(item, *folders) for item in value]
    if not isinstance(value, str):
        return value
    if value[:1] in ("{", "["):
        with contextlib.suppress(ValueError):
            return canonical_json(without_places(parse_json(value), *folders))
    is_path = value.startswith(("/", "~/")) and not re.search(r"\n|: ", value)
    if is_path:
        return Path(value).name
    return in_text(without_secrets(value), *folders)


def in_text(text: str, *folders: Path) -> str:
    """Returns a text, such as a reason, without the folders of this machine."""
    for folder in sorted({str(folder) for folder in folders}, key=len, reverse=True):
        if len(folder) > 1:
            text = re.sub(f"{re.escape(folder)}/{_NAMES}", "", text)
            text = text.replace(folder, Path(folder).name)
    return _FOLDERS.sub("", redacted(text))
