"""Stands before the Batch service and lets requests fail as clouds do: throttled, refused, failed, cut off, late, or
with the service out of reach for a while."""

import asyncio
import logging
import uuid

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..protocol.errors import BatchError
from . import outages
from .app import error_response, read_body
from .connections import Connections
from .outages import Outages
from .request_faults import RequestFaults

LOOK_AGAIN = 0.1  # seconds
log = logging.getLogger("azure_batch_emulator.faults")
_CODES = {
    "throttled": "TooManyRequests",
    "busy": "ServerBusy",
    "failed": "InternalError",
    "failedAfter": "InternalError",
}


class FaultInjection:
    """The application `app`, whose requests fail as `faults` and `outages` say."""

    def __init__(
        self, app: ASGIApp, faults: RequestFaults, outages: Outages, connections: Connections
    ) -> None:
        self._app, self._faults, self._outages, self._connections = app, faults, outages, connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (outage := self._outages.now()):
            log.info("%s %s: outage, %s", scope["method"], scope["path"], outage.kind)
            if outage.kind == outages.BUSY:
                await read_body(request := Request(scope, receive))
                await self._refuse(request, "ServerBusy")(scope, receive, send)
                return
            if outage.kind == outages.HANGING:
                while (now := self._outages.now()) and now.kind == outages.HANGING:
                    await asyncio.sleep(LOOK_AGAIN)
            await self._connections.cut(scope, receive)
            return
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
            await self._refuse(request, _CODES[kind])(scope, receive, send)
        else:
            await self._connections.cut(scope, receive)

    def _refuse(self, request: Request, code: str) -> Response:
        response = error_response(request, BatchError(code), str(uuid.uuid4()))
        if response.status_code in (429, 503):
            response.headers["Retry-After"] = str(self._faults.retry_after())
        return response


async def _nowhere(message: Message) -> None:
    """Where an answer goes that its client never gets."""
