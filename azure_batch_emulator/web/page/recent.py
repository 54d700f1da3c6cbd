"""The last requests, for the page. Those of the page itself are not among them."""

import time
from collections import deque
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..request_log import KEY, PAGE, notes

MOST = 300


class RecentRequests:
    """ASGI middleware that keeps of the last `MOST` requests what the page shows; texts are made when it asks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._last: deque[tuple[int, float, float, Scope, int | None]] = deque(maxlen=MOST)
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(PAGE):
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), None

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._count += 1
            # Not the whole of what the server knows of it, and no header.
            kept = {name: scope.get(name) for name in ("method", "raw_path", KEY)}
            self._last.append((self._count, time.time(), time.perf_counter() - began, kept, status))

    def after(self, number: int) -> list[dict[str, Any]]:
        """Those after the one with a number, the oldest first; 0 for all that are kept. `at`: milliseconds since 1970
        when it was answered, by the true clock; `ms`: how long that took."""
        return [
            {
                "n": n,
                "at": round(at * 1000),
                "ms": round(seconds * 1000, 1),
                "method": scope["method"],
                "path": scope["raw_path"].decode("ascii", "replace").partition("?")[0][:500],
                "operation": notes(scope).get("operation"),
                "error": notes(scope).get("errorCode"),
                "status": status,
            }
            for n, at, seconds, scope, status in list(self._last)
            if n > number
        ]
