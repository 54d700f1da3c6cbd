"""The emulator's own paths, below `/-/`: no id of Batch's can be there. They want the account's credentials."""

import uuid
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..core.nodes import disks
from ..protocol.errors import BatchError
from ..protocol.schema import parse_object
from .app import error_response, read_body
from .auth import Authenticator
from .control import NO_START, Control
from .visitors import is_own


class ControlRoutes:
    def __init__(self, control: Control, authenticator: Authenticator) -> None:
        self._control, self._authenticator = control, authenticator

    def routes(self) -> list[Route]:
        return [
            Route("/-/faults", self.answer, methods=["GET", "POST"]),
            Route("/-/roles", self.answer, methods=["GET"]),
            Route("/-/roles/{principal}", self.answer, methods=["PUT"]),
            Route("/-/pools/{pool}/nodes/{node}/{what}", self.answer, methods=["POST"]),
            Route("/-/{rest:path}", self.answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]

    async def answer(self, request: Request) -> Response:
        try:
            body = await read_body(request)
            self._check(request)
            return self._act(request, body or b"")
        except BatchError as error:
            return error_response(request, error, str(uuid.uuid4()))

    def _check(self, request: Request) -> None:
        path = request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        query = parse_qsl(request.scope["query_string"].decode("ascii", "replace"), keep_blank_values=True)
        headers = {name.lower(): value for name, value in request.headers.items()}
        access = self._authenticator.check(
            request.method, path, query, headers, datetime.now(UTC), is_own(request.scope)
        )
        access.check_control()

    def _act(self, request: Request, body: bytes) -> Response:
        place = request.path_params
        if place.get("what") in ("preempt", "lose"):
            getattr(self._control, place["what"])(place["pool"], place["node"])
            return Response(None, 204)
        if place.get("what") == "spoil":
            wanted = parse_object(body) if body.strip() else {}
            self._control.spoil(place["pool"], place["node"], wanted.get("exitCode", NO_START))
            return Response(None, 204)
        if place.get("what") == "fill":
            wanted = parse_object(body) if body.strip() else {}
            self._control.fill(place["pool"], place["node"], wanted.get("disk", disks.OS))
            return Response(None, 204)
        if request.url.path.startswith("/-/roles"):
            if principal := place.get("principal"):
                self._control.give_role(principal, parse_object(body).get("role"))
            return JSONResponse(self._control.roles())
        if "what" in place or "rest" in place:
            raise BatchError("InvalidUri")
        if request.method == "POST":
            self._control.plan(parse_object(body) if body.strip() else {})
        return JSONResponse(self._control.planned())
