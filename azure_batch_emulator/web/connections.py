"""Open connections, so that one can be cut off without an answer, as networks do it."""

import asyncio

from starlette.types import Receive, Scope
from uvicorn.protocols.http.auto import AutoHTTPProtocol


class Connections:
    """`protocol()` is what the server speaks on each connection; `cut` ends the one that a request came on."""

    def __init__(self) -> None:
        self._transports: dict[tuple, asyncio.Transport] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        transports = self._transports

        class Tracked(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
            def connection_made(self, transport: asyncio.Transport) -> None:
                self._peer = tuple(transport.get_extra_info("peername") or ())[:2]
                transports[self._peer] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self._peer, None)
                super().connection_lost(exc)

        return Tracked

    async def cut(self, scope: Scope, receive: Receive) -> None:
        if transport := self._transports.get(tuple(scope["client"] or ())):
            transport.abort()
            while (await receive())["type"] != "http.disconnect":
                pass
