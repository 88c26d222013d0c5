"""Names that a library knows, looked up without importing it, which takes seconds."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path


@functools.cache
def is_written(package: str, pattern: str, *texts: str) -> bool:
    """Returns whether all texts stand in the source of a library.

    ``False`` may mean that the name is made in another way: then the library itself must be asked.

    Args:
        package: name of the library.
        pattern: of the files below the folder of the library in which the texts may stand.
        texts: to find; each may be in another file.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return False
    missing = set(texts)
    for path in Path(found.origin).parent.glob(pattern):
        content = path.read_text(encoding="utf-8", errors="replace")
        missing = {text for text in missing if text not in content}
        if not missing:
            return True
    return False
