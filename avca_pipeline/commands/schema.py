"""Command ``schema``: the JSON Schema of a config, for editors.

`workflow/schemas/config.schema.json` is what it writes with the plugins of this package alone. Who
has installed others writes one of their own and names it in the first line of a config.
"""

from __future__ import annotations

import json
from pathlib import Path

from avca_pipeline.artifacts.atomic import atomic_write
from avca_pipeline.config import schema


def run(out: Path) -> None:
    """Writes the schema.

    Raises:
        PipelineError: the file cannot be written.
    """
    with atomic_write(out) as temporary:
        temporary.write_text(text(), encoding="utf-8")


def text() -> str:
    """Returns the content of the file."""
    return json.dumps(schema.build(), indent=2, ensure_ascii=False) + "\n"
