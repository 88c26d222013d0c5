"""Refuses requests that come from pages of other sites, and tells browsers what a page may do.

A server on the user's own machine can be reached by every page that the user's browser shows.
Two things keep those out. A page of another site that posts here says its origin. A name of
another site that suddenly stands for this machine (DNS rebinding) is in the header ``Host``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = re.compile(
    r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::\d{1,5})?", re.IGNORECASE
)
READING = ("GET", "HEAD")
SAFE_SITES = ("same-origin", "none")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
        "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """What stands before an application.

    Args:
        app: the application.
        names: host names, in small letters, under which the server may be asked.
        is_local: whether of the addresses without a name only those of this machine itself may be.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], *, is_local: bool) -> None:
        self.app, self.names, self.is_local = app, names, is_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request itself, or passes it on."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app: ASGIApp = self.app
        if scope["type"] == "http" and (why := self.why_refused(scope)):
            closing = {"Connection": "close"}  # what is still to be sent is not read
            app = JSONResponse({"error": why}, status_code=403, headers=closing)
        await app(scope, receive, send_with_headers)

    def why_refused(self, scope: Scope) -> str:
        """Returns why a request is refused, in a sentence; an empty text if it is not."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return "This server does not answer to this host name."
        if scope["method"] in READING:
            return ""
        origins = headers.getlist("origin")
        is_own = all(_place(origin) == hosts[0].lower() for origin in origins)
        if not is_own or headers.get("sec-fetch-site", "none") not in SAFE_SITES:
            return "This server takes nothing from pages of other sites."
        return ""

    def _is_own(self, host: str) -> bool:
        """Returns whether a host is one of ours; no name can be rebound to a bare address."""
        match = HOST.fullmatch(host)
        if match is None:
            return False
        try:
            address = ipaddress.ip_address(match["six"] or match["name"])
        except ValueError:
            return bool(match["name"]) and match["name"].lower() in self.names
        return address.is_loopback or not self.is_local


def _place(origin: str) -> str:
    """Returns the host and the port of an origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
