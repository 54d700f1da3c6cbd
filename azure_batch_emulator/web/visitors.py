"""Who is at the door: requests that a web page makes in a browser are refused, and it is noted whose process asks.

A page from elsewhere can have the name of its own host lead to this machine, a moment after it was loaded (DNS
rebinding); the browser then takes the emulator for the page's own server. The Host header gives it away, as it has the
page's name, and so does the Origin header of what a page sends to another place.

The account's key and the tenant's secret are published, so that they alone say nothing about who asks. They count from
the user who runs the emulator only; see `azure_batch_emulator.host.peers`.
"""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

KEY = "azure_batch_emulator.own"


def is_own(scope: Scope) -> bool:
    """Whether the request is by the user who runs the emulator, so that what is published counts."""
    return bool(scope.get(KEY))


class Visitors:
    """ASGI middleware. `host` is the address that the emulator listens on; `own` tells of a request's connection
    whether it is by the user who runs the emulator."""

    def __init__(self, app: ASGIApp, host: str, own: Callable[[Scope], bool]) -> None:
        self._app, self._own = app, own
        self._bound = ip_address(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        hosts = {"Host": f"//{headers.get(b'host', '')}"}
        if b"origin" in headers:
            hosts["Origin"] = headers[b"origin"]
        for header, url in hosts.items():
            if not self._is_ours(url):
                text = (
                    f"The {header} header names no address of this emulator, as when a web page from elsewhere asks; "
                    "use 127.0.0.1, localhost, or what --host says.\n"
                )
                await PlainTextResponse(text, 421)(scope, receive, send)
                return
        scope[KEY] = self._own(scope)
        await self._app(scope, receive, send)

    def _is_ours(self, url: str) -> bool:
        try:
            name = (urlsplit(url).hostname or "").rstrip(".")
        except ValueError:
            return False
        # Names below localhost are this machine, too: https://www.rfc-editor.org/rfc/rfc6761#section-6.3
        if name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return not self._bound.is_loopback and name == socket.gethostname().lower()
        # An address can't be led elsewhere. What reaches another one than the bound was sent on by something.
        return address.is_loopback or not self._bound.is_loopback or address == self._bound
