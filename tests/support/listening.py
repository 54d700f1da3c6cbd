"""HTTP servers that note what arrives: one that answers as a test says, and a proxy that passes everything on."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Arrival:
    """A request as it came; `target` is what stands between method and version in its first line."""

    method: str
    target: str
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listener:
    url: str
    seen: list[Arrival]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def take(self) -> Arrival:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return Arrival(self.command, self.path, self.headers, body)

    def _chunk(self) -> bytes:
        data = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return data

    def give(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


def _handle_all(handle: Callable[[_Handler], None]) -> type[_Handler]:
    verbs = ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "CONNECT")
    return type("Handler", (_Handler,), {f"do_{verb}": handle for verb in verbs})


@contextmanager
def _serving(handle: Callable[[_Handler], None], seen: list[Arrival]) -> Iterator[Listener]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handle_all(handle))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Listener(f"http://127.0.0.1:{server.server_address[1]}", seen)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def listening(answer: Callable[[Arrival], Answer] = lambda _: Answer()) -> Iterator[Listener]:
    """A server that answers each request with what `answer` makes of it."""
    seen: list[Arrival] = []

    def handle(handler: _Handler) -> None:
        arrival = handler.take()
        seen.append(arrival)
        handler.give(answer(arrival))

    with _serving(handle, seen) as listener:
        yield listener


@contextmanager
def forwarding() -> Iterator[Listener]:
    """An HTTP proxy: requests with a whole URL go on to its host, and after CONNECT bytes do, both ways.

    A host that cannot be reached is 502.
    """
    seen: list[Arrival] = []

    def handle(handler: _Handler) -> None:
        arrival = handler.take()
        seen.append(arrival)
        try:
            _tunnel(handler) if handler.command == "CONNECT" else handler.give(_pass_on(arrival))
        except OSError:
            handler.close_connection = True
            with suppress(OSError):
                handler.give(Answer(502))

    with _serving(handle, seen) as listener:
        yield listener


def _pass_on(arrival: Arrival) -> Answer:
    parts = urlsplit(arrival.target)
    # As it came: the signature of a request is for its path, character by character.
    path = arrival.target.removeprefix(f"{parts.scheme}://{parts.netloc}")
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.putrequest(arrival.method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in arrival.headers.items():
            if not name.lower().startswith(("proxy-", "transfer-encoding")):
                connection.putheader(name, value)
        connection.endheaders(arrival.body)
        response = connection.getresponse()
        body = response.read()
        headers = {n.title(): v for n, v in response.headers.items() if n.lower() != "transfer-encoding"}
        return Answer(response.status, body, headers)
    finally:
        connection.close()


def _tunnel(handler: _Handler) -> None:
    host, _, port = handler.path.rpartition(":")
    handler.close_connection = True
    with socket.create_connection((host, int(port)), 10) as there:
        there.settimeout(None)
        handler.send_response(200)
        handler.end_headers()
        back = threading.Thread(target=_pour, args=(there, handler.connection), daemon=True)
        back.start()
        _pour(handler.connection, there)
        back.join()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
