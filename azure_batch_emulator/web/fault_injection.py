"""Stands before the Batch service and lets requests fail as clouds do: throttled, refused, failed, cut off, late."""

import asyncio
import logging
import uuid

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..protocol.errors import BatchError
from .app import error_response, read_body
from .connections import Connections
from .request_faults import RequestFaults

log = logging.getLogger("azure_batch_emulator.faults")
_CODES = {
    "throttled": "TooManyRequests",
    "busy": "ServerBusy",
    "failed": "InternalError",
    "failedAfter": "InternalError",
}


class FaultInjection:
    """The application `app`, whose requests fail as `faults` says."""

    def __init__(self, app: ASGIApp, faults: RequestFaults, connections: Connections) -> None:
        self._app, self._faults, self._connections = app, faults, connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = self._faults.draw() if scope["type"] == "http" else None
        if kind is None:
            await self._app(scope, receive, send)
            return
        log.info("%s %s: %s", scope["method"], scope["path"], kind)
        if kind == "slow":
            await asyncio.sleep(self._faults.slowness())
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if kind in ("failedAfter", "droppedAfter"):
            await self._app(scope, receive, _nowhere)
        else:
            await read_body(request)
        if kind in _CODES:
            response = error_response(request, BatchError(_CODES[kind]), str(uuid.uuid4()))
            if kind in ("throttled", "busy"):
                response.headers["Retry-After"] = str(self._faults.retry_after())
            await response(scope, receive, send)
        else:
            await self._connections.cut(scope, receive)


async def _nowhere(message: Message) -> None:
    """Where an answer goes that its client never gets."""
