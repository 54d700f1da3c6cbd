"""The HTTP server, whose port can be closed for a while: connections are refused then, as by a service that is down.

The port stays this process's meanwhile: a socket is bound to it that does not listen.
"""

import asyncio
import functools
import socket
from collections.abc import Callable
from typing import Any, cast

import uvicorn

ANSWERS = 0.1  # seconds that answers under way, such as that to who has ordered it, have to leave
BACKLOG = 512


class HttpServer(uvicorn.Server):
    """`cut_all` ends the connections that are open; it is called in the server's loop."""

    def __init__(self, config: uvicorn.Config, cut_all: Callable[[], None]) -> None:
        super().__init__(config)
        self._cut_all = cut_all
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bound: list[socket.socket] = []
        self._closed = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._bound = [each.dup() for each in sockets or ()]
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for each in self._bound:
            each.close()

    def refuse(self, seconds: float) -> None:
        """Lets nobody connect for so long, from some moment on; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.call_later, ANSWERS, self._close, seconds)

    def _close(self, seconds: float) -> None:
        assert self._loop is not None
        if self.servers:
            for server in self.servers:
                server.close()
            self.servers.clear()
            self._bound = [_bound_again(each) for each in self._bound]
        self._cut_all()
        self._closed += 1
        self._loop.call_later(seconds, self._open, self._closed)

    def _open(self, number: int) -> None:
        if number == self._closed and not self.should_exit:  # else it was closed again meanwhile
            assert self._loop is not None
            self._opening = self._loop.create_task(self._listen())

    async def _listen(self) -> None:
        assert self._loop is not None
        protocol: Callable[..., Any] = functools.partial(
            cast("Callable[..., Any]", self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        for each in self._bound:
            each.listen(BACKLOG)
            server = await self._loop.create_server(
                protocol, sock=each.dup(), ssl=self.config.ssl, backlog=BACKLOG
            )
            self.servers.append(server)


def _bound_again(listener: socket.socket) -> socket.socket:
    """In place of a socket that has listened, one that is only bound."""
    address, new = listener.getsockname(), socket.socket(listener.family, listener.type, listener.proto)
    listener.close()
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    new.bind(address)
    return new
