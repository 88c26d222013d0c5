"""Web addresses as they may be shown: without passwords, tokens and signatures.

Whoever reads a log, a table or a report must not be able to download with what stands in it.
"""

from __future__ import annotations

import re

HIDDEN = "…"

# What comes before the host, the host with its port, the path, and what comes after that.
# A path that was an address has one slash.
_SCHEME = r"(?:[a-z][a-z0-9+.-]*://|(?:https?|ftp|s3|gs):/)"
_PARTS = re.compile(rf"({_SCHEME})([^/?#\\]*)([^?#]*)", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"(\[[0-9a-f:.%]+\]|[^\s:@\[\]]*)(:\d{0,5})?", re.IGNORECASE)
# An apostrophe ends an address only where one stands before it.
_IN_TEXT = re.compile(
    rf"(?<=')\b{_SCHEME}[^\s\"'<>`]*[^\s\"'<>`.,;:)\]]"
    rf"|(?<!')\b{_SCHEME}[^\s\"<>`]*[^\s\"<>`.,;:)\]]",
    re.IGNORECASE,
)


def shown(address: str) -> str:
    """Returns an address without user, password, query and fragment.

    What is no address, such as a path, is returned as it is.
    """
    parts = _PARTS.match(address)
    if parts is None:
        return address
    scheme, authority, path = parts.groups()
    host = authority.rpartition("@")[2]
    if not _HOST.fullmatch(host):
        # A password with a slash or a question mark in it: where it ends, nobody can say.
        return f"{scheme}{HIDDEN}"
    return f"{scheme}{host}{path}"


def redacted(text: str) -> str:
    """Returns a text in which every address is as `shown` gives it."""
    return _IN_TEXT.sub(lambda match: shown(match[0]), text)
