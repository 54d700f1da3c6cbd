"""`python latency.py PORT SECONDS`: a way to the server on that port of this machine on which a request and its answer
take so long together, however many are on it. Bytes pass as they are, so signatures stay valid.
"""

import asyncio
import sys
from contextlib import suppress


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Passes on what comes, `delay` seconds later, in the same order."""
    loop = asyncio.get_running_loop()
    way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, data = await way.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    arriving = asyncio.create_task(arrive())
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            way.put_nowait((loop.time() + delay, data))
    way.put_nowait((loop.time() + delay, b""))
    with suppress(ConnectionError):
        await arriving


async def main(port: int, seconds: float) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, back, seconds / 2), carry(there, writer, seconds / 2))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(f"ready at http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
