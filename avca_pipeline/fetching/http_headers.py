"""What the headers of an HTTP response say: how long to wait, which version, how many bytes."""

from __future__ import annotations

import contextlib
import email.utils
import re
import time
from typing import Any


def retry_after_s(headers: Any) -> float:
    """Returns the seconds that a ``Retry-After`` header asks for, 0 if there is none."""
    value = str((headers or {}).get("Retry-After") or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return 0.0


def version_of(headers: Any) -> str:
    """Returns the server's name of this version of the file, or nothing if it tells none apart.

    That is a strong ETag, or else the time of the last change if it is old enough.
    """
    etag = headers.get("ETag", "").strip()
    if etag.startswith('"'):
        return str(etag)
    modified, now = headers.get("Last-Modified", ""), headers.get("Date", "")
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        times = [email.utils.parsedate_to_datetime(text).timestamp() for text in (modified, now)]
        if times[1] - times[0] >= 1:  # A file may change twice within a second.
            return str(modified)
    return ""


def number_in(text: str | None) -> int | None:
    """Returns the number that a header is, or ``None`` if it is none."""
    digits = re.fullmatch(r"[0-9]{1,18}", (text or "").strip())
    return int(digits[0]) if digits else None
