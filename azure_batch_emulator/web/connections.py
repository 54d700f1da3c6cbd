"""Open connections: whose they are, and how one is cut off without an answer, as networks do it."""

import asyncio
from collections.abc import Callable

from starlette.types import Receive, Scope
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ..host import peers


class Connections:
    """`protocol()` is what the server speaks on each connection; `cut` ends the one that a request came on, and `own`
    tells whether that is by the user who runs the emulator."""

    def __init__(self, is_own: Callable[[peers.Address, peers.Address], bool] = peers.is_own) -> None:
        self._is_own = is_own
        self._transports: dict[tuple, asyncio.Transport] = {}
        # As long as a connection is open, nobody else can have its port.
        self._own: dict[tuple, bool] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        transports, own = self._transports, self._own

        class Tracked(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
            def connection_made(self, transport: asyncio.Transport) -> None:
                self._peer = tuple(transport.get_extra_info("peername") or ())[:2]
                transports[self._peer] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self._peer, None)
                own.pop(self._peer, None)
                super().connection_lost(exc)

        return Tracked

    def own(self, scope: Scope) -> bool:
        """Asked of the system once for each connection."""
        client, server = tuple(scope["client"] or ()), tuple(scope["server"] or ())
        if client not in self._transports:
            return False
        if client not in self._own:
            self._own[client] = self._is_own(client, server)
        return self._own[client]

    def cut_all(self) -> None:
        for transport in list(self._transports.values()):
            transport.abort()

    async def cut(self, scope: Scope, receive: Receive) -> None:
        if transport := self._transports.get(tuple(scope["client"] or ())):
            transport.abort()
            while (await receive())["type"] != "http.disconnect":
                pass
