"""Addresses of files on the web: which part is sent to the server, and which are refused."""

from __future__ import annotations

import base64
import urllib.parse

from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime.addresses import shown


class AddressError(PipelineError):
    """An address from which a file will never come.

    Attributes:
        reason: ``odd address``, ``removed``, ``blocked`` or ``too large``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def parse_address(url: str) -> tuple[str, str]:
    """Returns an address in ASCII without user and password, and the header that these are sent as.

    Args:
        url: an http(s) address; letters of any script may stand in it.

    Raises:
        AddressError: it is no such address.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("no http(s) address with a host")
        if ":" in host:
            host = f"[{host}]"
        elif not host.isascii():
            host = host.encode("idna").decode("ascii")
        if any(not 0 < len(label) < 64 for label in host.removesuffix(".").split(".")):
            raise ValueError("a part of the host's name is empty or too long")
        if port is not None:
            host = f"{host}:{port}"
        path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    except ValueError as error:  # UnicodeError is one
        raise AddressError("odd address", f"{shown(url)}: {error}") from None
    user = urllib.parse.unquote(parts.netloc.rpartition("@")[0])
    authorization = "Basic " + base64.b64encode(user.encode()).decode() if user else ""
    return urllib.parse.urlunsplit((parts.scheme, host, path, query, "")), authorization
