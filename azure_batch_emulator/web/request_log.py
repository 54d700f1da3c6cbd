"""One line of JSON for each request: who asked for what, and what came of it. Never a header, query, body or signature,
apart from what is named here."""

import json
import time
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEY = "azure_batch_emulator.request"
PAGE = "/-/page/"
"""Where the paths begin that the emulator's page asks for, every second; nobody wants to read that."""


def notes(scope: Scope) -> MutableMapping[str, Any]:
    """Where an application says more of a request: `operation`, `account`, `errorCode`, `requestId`."""
    return scope.setdefault(KEY, {})


class RequestLog:
    """ASGI middleware that writes a line to `stream` when a request is over, or its connection is gone; not for those
    of the emulator's page.

    `status` is null where no answer was begun; `durationMs` reaches to the end of the body; `bytesIn` and `bytesOut`
    count bodies; `operation` is the Batch service's, Resource Manager's as method and type of resource, or the endpoint
    that gives tokens; `time` is the true time at the request's start, whatever the service's clock says.
    """

    def __init__(self, app: ASGIApp, stream: TextIO) -> None:
        self._app, self._stream = app, stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(PAGE):
            await self._app(scope, receive, send)
            return
        started, began = datetime.now(UTC), time.perf_counter()
        seen: dict[str, Any] = {"status": None, "in": 0, "out": 0}

        async def receiving() -> Message:
            message = await receive()
            seen["in"] += len(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
            seen["out"] += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receiving, sending)
        finally:
            milliseconds = round((time.perf_counter() - began) * 1000, 3)
            entry = _entry(scope, started, seen, milliseconds)
            self._stream.write(json.dumps(entry, separators=(",", ":")) + "\n")
            self._stream.flush()


def _entry(scope: Scope, started: datetime, seen: dict[str, Any], milliseconds: float) -> dict[str, Any]:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = {
        name.lower(): value for name, value in parse_qsl(scope["query_string"].decode("ascii", "replace"))
    }
    noted = notes(scope)
    return {
        "time": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "method": scope["method"],
        "path": scope["raw_path"].decode("ascii", "replace").partition("?")[0],
        "apiVersion": query.get("api-version"),
        "operation": noted.get("operation") or _endpoint(scope),
        "status": seen["status"],
        "errorCode": noted.get("errorCode"),
        "durationMs": milliseconds,
        "clientRequestId": headers.get("client-request-id") or headers.get("x-ms-client-request-id"),
        "requestId": noted.get("requestId"),
        "userAgent": headers.get("user-agent"),
        "bytesIn": seen["in"],
        "bytesOut": seen["out"],
        "account": noted.get("account"),
    }


def _endpoint(scope: Scope) -> str | None:
    """What answered, where it was not the Batch service: `SignIn.token`, say."""
    found = scope.get("endpoint")
    owner = getattr(found, "__self__", None)
    return f"{type(owner).__name__}.{found.__name__}" if found is not None and owner is not None else None
