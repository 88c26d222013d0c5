"""Which stretch of which file is meant by what a user calls a video."""

from __future__ import annotations

import math
import re
from pathlib import Path

from avca_pipeline.backbones import MediaSegment
from avca_pipeline.errors import PipelineError

FRAGMENT = re.compile(r"#t=([\d.]*)(?:,([\d.]+))?$")


def segment(video: str | Path) -> MediaSegment:
    """Returns the file and the stretch of it.

    Args:
        video: a path, or a path with ``#t=2.5,7`` behind it (W3C Media Fragments): the stretch
            from 2.5 to 7 seconds. A file of that very name comes first.

    Raises:
        PipelineError: there is no such stretch.
    """
    path = Path(video).expanduser()
    match = FRAGMENT.search(str(path))
    if match is None or path.exists():
        return MediaSegment(path)
    try:
        start_s = float(match[1] or 0.0)
        end_s = float(match[2]) if match[2] else None
    except ValueError:
        start_s, end_s = math.nan, None
    if not math.isfinite(start_s) or (end_s is not None and not start_s < end_s < math.inf):
        raise PipelineError(
            f"{video}: {match[0]!r} is no stretch of time; write #t=START,END in seconds"
        )
    return MediaSegment(Path(str(path)[: match.start()]), start_s, end_s)
