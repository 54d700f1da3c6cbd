"""A line between a client and a server on this machine: so many bytes a second in each direction, after a delay.

All connections share it, as they share the uplink of a home or an office. Of each no more is taken in than the line
carries meanwhile, so that a sender feels it as it feels a full line: its own buffer stays full.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

PACKET = 16 * 1024  # bytes that are taken in at a time
BUFFER = 64 * 1024  # of each socket, in bytes


@dataclass
class _Direction:
    """`free` is when the last byte that was taken in will have left, by the loop's clock."""

    rate: float  # bytes a second
    delay: float  # seconds
    free: float = 0.0
    carried: int = 0


@dataclass
class Line:
    """The port to connect to; how many bytes it has carried up and down."""

    port: int
    up: _Direction
    down: _Direction
    ends: set[asyncio.StreamWriter] = field(default_factory=set)


@contextmanager
def line(port: int, megabits: float, round_trip: float) -> Iterator[Line]:
    """To the server at `port`; `megabits` a second each way, `round_trip` in seconds."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    rate, delay = megabits * 1_000_000 / 8, round_trip / 2
    made = Line(0, _Direction(rate, delay), _Direction(rate, delay))

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.ends.add(writer)
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", port, limit=PACKET)
            made.ends.add(there)
            await asyncio.gather(_carry(reader, there, made.up), _carry(there_reader, writer, made.down))
        except (OSError, asyncio.CancelledError):  # the latter at the line's end
            writer.close()

    async def serve() -> asyncio.Server:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)  # before a connection comes
        return await asyncio.start_server(accept, sock=listener, limit=PACKET)

    async def end() -> None:
        server.close()
        for writer in made.ends:
            writer.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(serve(), loop).result()
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, way: _Direction) -> None:
    """Takes a packet in, keeps the line busy with it, and hands it over after the delay."""
    loop = asyncio.get_running_loop()
    coming: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            when, data = await coming.get()
            await asyncio.sleep(max(0.0, when - loop.time()))
            if not data:
                break
            target.write(data)
            await target.drain()
        with suppress(OSError):
            target.write_eof()

    delivery = asyncio.create_task(deliver())
    with suppress(OSError):
        while data := await source.read(PACKET):
            way.free = max(way.free, loop.time()) + len(data) / way.rate
            way.carried += len(data)
            coming.put_nowait((way.free + way.delay, data))
            await asyncio.sleep(max(0.0, way.free - loop.time()))
    coming.put_nowait((loop.time() + way.delay, b""))
    with suppress(OSError):
        await delivery
