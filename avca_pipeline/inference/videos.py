"""Which stretch of which file is meant by what a user calls a video."""

from __future__ import annotations

import math
import re
import stat
from pathlib import Path

from avca_pipeline.backbones import MediaSegment
from avca_pipeline.media import MediaError
from avca_pipeline.runtime.paths import expanded, is_there

FRAGMENT = re.compile(r"#t=([^/]*)$")
TIMES = re.compile(r"([\d.]*)(?:,([\d.]+))?")
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
MISSING = "missing file"


def segment(video: str | Path) -> MediaSegment:
    """Returns the file and the stretch of it.

    Args:
        video: a path, or a path with ``#t=2.5,7`` behind it (W3C Media Fragments): the stretch
            from 2.5 to 7 seconds. A file of that very name comes first.

    Raises:
        MediaError: there is no such stretch.
    """
    path = _file(str(video))
    match = FRAGMENT.search(str(video))
    if match is None or is_there(path):
        return MediaSegment(path)
    start_s, end_s = _times(match[1])
    if not math.isfinite(start_s) or (end_s is not None and not start_s < end_s < math.inf):
        raise MediaError(f"{match[0]!r} is no stretch of time; write #t=START,END in seconds")
    return MediaSegment(_file(str(video)[: match.start()]), start_s, end_s)


def why_unreadable(path: Path) -> str:
    """Returns why a file that a user names cannot be read; an empty text if it can."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            path.open("rb").close()
            return ""
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError:  # A name with a zero byte, which no file has.
        return MISSING
    return "a folder; name the videos in it" if stat.S_ISDIR(mode) else "not a file"


def is_address(video: str | Path) -> bool:
    """Returns whether what a user calls a video is an address on the web."""
    return ADDRESS.match(str(video)) is not None


def _file(name: str) -> Path:
    path = Path(name)
    return path if is_there(path) else expanded(path)


def _times(written: str) -> tuple[float, float | None]:
    """Returns start and end in seconds; NaN for what is no time."""
    match = TIMES.fullmatch(written)
    try:
        if match:
            return float(match[1] or 0.0), float(match[2]) if match[2] else None
    except ValueError:
        pass
    return math.nan, None
