"""A proxy between a client and Azurite, or the emulator, that breaks what passes, as a plan says: one fault, or none, per request.

It speaks as much HTTP/1.1 as the two do: one request after the other on a connection, bodies with a length or in
chunks. What it does not break goes on byte for byte, so that signatures stay valid.
"""

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal[
    "refuse",  # the connection ends before the request is passed on
    "lose",  # the request is passed on, the connection ends before the answer
    "cut",  # the connection ends in the middle of the answer's body, or of the request's, if the answer has none
    "truncate",  # the answer is half its length, and says that this is all
    "flip",  # a byte of the answer's body is changed, or of the request's, if the request has one
    "busy",  # 503 ServerBusy in place of an answer
    "error",  # 500 InternalError in place of an answer
    "slow",  # the answer's body comes in small pieces with pauses
    "hang",  # nothing happens any more
]


@dataclass(frozen=True)
class Refusal:
    """An answer of Batch in place of its own: status with reason phrase, and code."""

    status: str
    code: str


@dataclass(frozen=True)
class Passing:
    """A request on its way; `number` counts from 0, `size` is of its body. `range` is that of a download, or ""."""

    number: int
    method: str
    path: str
    size: int
    range: str

    @property
    def is_block(self) -> bool:
        return self.method == "PUT" and "comp=block&" in f"{self.path}&"

    @property
    def is_content(self) -> bool:
        """Whether the answer will have a blob's content."""
        return self.method == "GET" and "comp=" not in self.path


Plan = Callable[[Passing], Fault | Refusal | None]


def at_random(seed: int, rate: float, *faults: Fault) -> Plan:
    """Each request suffers one of the faults with the probability `rate`."""
    draw = random.Random(seed)
    return lambda _: draw.choice(faults) if draw.random() < rate else None


def outage(fault: Fault | Refusal, seconds: float, when: Callable[[Passing], bool]) -> Plan:
    """From the first request for which `when` is true, for so many seconds, all of them suffer the fault."""
    began: list[float] = []

    def plan(passing: Passing) -> Fault | Refusal | None:
        if not began and when(passing):
            began.append(time.monotonic())
        return fault if began and time.monotonic() - began[0] < seconds else None

    return plan


def once(fault: Fault | Refusal, when: Callable[[Passing], bool] = lambda _: True, times: int = 1) -> Plan:
    """The first `times` requests for which `when` is true suffer the fault."""
    left = [times]

    def plan(passing: Passing) -> Fault | Refusal | None:
        if not left[0] or not when(passing):
            return None
        left[0] -= 1
        return fault

    return plan


@dataclass
class Faults:
    """A running proxy: `url(url)` leads through it, `plan` may be changed at any time, `done` is what it did."""

    port: int
    plan: Plan = lambda _: None
    seen: list[Passing] = field(default_factory=list)
    done: list[tuple[Fault | Refusal, Passing]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, direct: str) -> str:
        scheme, _, rest = direct.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://127.0.0.1:{self.port}{slash}{path}"

    def choose(self, method: str, path: str, size: int, asked: str) -> Fault | Refusal | None:
        with self.lock:
            passing = Passing(len(self.seen), method, path, size, asked)
            self.seen.append(passing)
            fault = self.plan(passing)
            if fault:
                self.done.append((fault, passing))
            return fault


@dataclass
class Message:
    """Head and body of a request or an answer; `chunked` as it was on the wire."""

    head: bytes
    body: bytes = b""

    @property
    def first(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    def header(self, name: str) -> str:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name.encode():
                return value.strip().decode("latin-1")
        return ""

    def with_length(self, length: int) -> bytes:
        lines = [x for x in self.head.split(b"\r\n") if not x.lower().startswith(b"content-length:")]
        return b"\r\n".join([*lines[:-2], b"Content-Length: %d" % length, b"", b""])


async def receive(reader: asyncio.StreamReader, bodiless: bool = False) -> Message | None:
    """The next message, None at the end of the connection."""
    try:
        message = Message(await reader.readuntil(b"\r\n\r\n"))
        if bodiless:
            return message
        if message.header("transfer-encoding").lower() == "chunked":
            while True:
                size = await reader.readuntil(b"\r\n")
                message.body += size + await reader.readexactly(int(size.split(b";")[0], 16) + 2)
                if int(size.split(b";")[0], 16) == 0:
                    return message
        message.body = await reader.readexactly(int(message.header("content-length") or 0))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return message


def refusal(status: str, code: str) -> bytes:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'.encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/xml", f"x-ms-error-code: {code}"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def json_refusal(refusal: Refusal) -> bytes:
    body = json.dumps({"code": refusal.code, "message": {"lang": "en-US", "value": refusal.code}}).encode()
    lines = [f"HTTP/1.1 {refusal.status}", "Content-Type: application/json;odata=minimalmetadata"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


class Connection:
    """One of a client, with one of its own to Azurite."""

    def __init__(self, faults: Faults, backend: int, reader, writer) -> None:
        self._faults, self._backend = faults, backend
        self._reader, self._writer = reader, writer

    async def serve(self) -> None:
        upstream = None
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._backend)
            while await self._exchange(*upstream):
                await self._writer.drain()
        except ConnectionError:
            pass
        finally:
            for writer in (self._writer, upstream[1] if upstream else None):
                if writer is not None:
                    writer.close()
                    with suppress(ConnectionError):
                        await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Passes one request and its answer on. Whether the connection goes on."""
        request = await receive(self._reader)
        if request is None:
            return False
        method, path, _ = request.first.split(" ", 2)
        asked = request.header("x-ms-range") or request.header("range")
        fault = self._faults.choose(method, path, len(request.body), asked)
        if fault == "refuse" or (fault == "cut" and request.body):
            if fault == "cut":
                writer.write(request.head + request.body[: len(request.body) // 2])
                await writer.drain()
            return False
        if fault == "hang":
            await asyncio.sleep(3600)
        if isinstance(fault, Refusal):
            self._writer.write(json_refusal(fault))
            return True
        if fault in ("busy", "error"):
            status, code = {
                "busy": ("503 Server Busy", "ServerBusy"),
                "error": ("500 Internal Error", "InternalError"),
            }[fault]
            self._writer.write(refusal(status, code))
            return True
        if fault == "flip" and request.body:
            request.body, fault = flipped(request.body), None
        writer.write(request.head + request.body)
        await writer.drain()
        answer = await receive(reader, bodiless=method == "HEAD")
        if answer is None or fault == "lose":
            return False
        return await self._answer(answer, fault)

    async def _answer(self, answer: Message, fault: Fault | Refusal | None) -> bool:
        chunked = answer.header("transfer-encoding")
        half = len(answer.body) // 2
        if fault == "cut" and answer.body:
            self._writer.write(answer.head + answer.body[:half])
            await self._writer.drain()
            return False
        if fault == "truncate" and answer.body and not chunked:
            self._writer.write(answer.with_length(half) + answer.body[:half])
            return True
        if fault == "flip" and answer.body and not chunked:
            answer.body = flipped(answer.body)
        self._writer.write(answer.head)
        if fault == "slow":
            step = max(1, len(answer.body) // 8)
            for place in range(0, len(answer.body), step):
                self._writer.write(answer.body[place : place + step])
                await self._writer.drain()
                await asyncio.sleep(0.02)
        else:
            self._writer.write(answer.body)
        return True


@contextmanager
def proxy(backend: int) -> Iterator[Faults]:
    """A proxy on a free port of 127.0.0.1, before the server on the port `backend`."""
    started: list[Faults] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    ending = asyncio.Event()

    async def serve() -> None:
        async def accept(reader, writer) -> None:
            with suppress(asyncio.CancelledError):
                await Connection(started[0], backend, reader, writer).serve()

        server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 20)
        started.append(Faults(server.sockets[0].getsockname()[1]))
        ready.set()
        async with server:
            await ending.wait()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(10)
        loop.close()
