"""HTTP for the SDK: requests go out as the SDK has made them.

`requests` prepares each request: it merges headers, cookies and hooks of the session into it, quotes its URL, looks
for proxies and logins in the environment. The SDK has done what is needed of that and uses none of the rest, which
takes a tenth of the time of a small file.

Python's time-out for sending is one for all of a body, so that 8 MiB would have to be away in as many seconds as a
connection may take to come about. Here a body goes out in pieces, each with a time of its own: what makes progress
goes on, however slow the line is. The system takes no more into its buffer than it can send soon, since nobody sees
whether that makes progress.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ProtocolError

SCHEMES = ("http://", "https://")
STALLED = 60.0  # seconds in which not one piece of a request could be sent
PIECE = 16 * 1024  # bytes
UNSENT = 128 * 1024  # bytes that the system keeps beyond those that are on their way


class TimedOut(Exception):
    """A request made no progress, or got no answer, for as long as one may take."""


_told: ContextVar[bool] = ContextVar("time_outs_told", default=False)


@contextmanager
def time_outs_told() -> Iterator[None]:
    """Requests of this block whose host was reached, but is too slow, raise TimedOut at once: the same is not tried
    again, since the caller knows something smaller.
    """
    token = _told.set(True)
    try:
        yield
    finally:
        _told.reset(token)


class _InPieces:
    """Of a connection: sends what is large in pieces."""

    sock: socket.socket | None

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux and macOS
        if self.sock is not None and option is not None:
            with suppress(OSError, AttributeError):  # in a proxy's tunnel it is no socket
                self.sock.setsockopt(socket.IPPROTO_TCP, option, UNSENT)

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(STALLED)
        if not isinstance(data, bytes | bytearray | memoryview):
            super().send(data)  # type: ignore[misc]
            return
        view = memoryview(data)
        for start in range(0, len(view), PIECE):
            super().send(view[start : start + PIECE])  # type: ignore[misc]


class _Connection(_InPieces, HTTPConnection):
    pass


class _SecureConnection(_InPieces, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *given: Any, **options: Any) -> None:
        super().init_poolmanager(*given, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager


def _is_time_out(error: requests.RequestException) -> bool:
    """Whether the host was reached, but the request or its answer did not make it in time."""
    if isinstance(error, requests.ReadTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, ProtocolError) and any(isinstance(each, TimeoutError) for each in cause.args)


class Session(requests.Session):
    """Connections to the host of `url`, of which `connections` stay open, by the proxies of the environment."""

    def __init__(self, url: str, connections: int) -> None:
        super().__init__()
        self.trust_env = False
        self.proxies = requests.utils.get_environ_proxies(url)
        for scheme in SCHEMES:
            self.mount(scheme, _Adapter(pool_connections=4, pool_maxsize=connections))

    def request(  # type: ignore[override]  # fewer arguments: those that RequestsTransport gives
        self,
        method: str,
        url: str,
        *,
        headers: Any,
        data: Any,
        files: Any,
        allow_redirects: bool,
        stream: bool = False,
        proxies: Any = None,
        **options: Any,
    ) -> requests.Response:
        """Sends it; `options` are those of HTTPAdapter.send. Redirects are the SDK's own business."""
        if files:
            raise NotImplementedError("Forms are not sent to storage accounts.")
        request = requests.PreparedRequest()
        request.method, request.url, request.body = method, url, data
        request.headers = CaseInsensitiveDict(headers)
        request.headers.setdefault("Accept-Encoding", "identity")
        if isinstance(data, bytes):
            request.headers.setdefault("Content-Length", str(len(data)))
        try:
            response = self.get_adapter(url).send(
                request, stream=stream, proxies=proxies or self.proxies, **options
            )
        except requests.RequestException as error:
            if _told.get() and _is_time_out(error):
                raise TimedOut from None
            raise
        if not stream:
            response.content  # noqa: B018  # reads it
        return response
