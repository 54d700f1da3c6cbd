"""Where the page and what it asks for are, and who gets them.

The service's own paths and answers stay as they are: only a GET of `/` that asks for HTML, which no client of Batch
sends, and GETs below `/-/page/` are answered here, to the browser of the user who runs the emulator, on this machine;
whoever is refused gets a sentence. No other site's page can ask in the user's name: `web.visitors` looks at the Host
and Origin headers, here it is seen to that a browser says that the request is the page's own, and nothing allows
another origin to read an answer. Nothing here changes anything.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from importlib.resources import files as resources
from ipaddress import ip_address
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ...core.machine import Machine
from ...engine.engine import Engine
from ...protocol.errors import BatchError
from ..request_log import PAGE
from ..visitors import is_own
from .files import Place
from .recent import RecentRequests
from .secrets import secret_values, without
from .snapshot import environment_of, snapshot, task_details

OFTEN = 0.5
"""Seconds between two snapshots, at the least, whoever asks."""

CONTENT = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
HEADERS = {
    "Content-Security-Policy": CONTENT + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ASSETS = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
}


class Page:
    """ASGI application before the service. `secrets` are texts that are shown nowhere, such as keys; `about` is said on
    the page."""

    def __init__(
        self, app: ASGIApp, engine: Engine, secrets: Callable[[], Iterable[str]], about: dict[str, Any]
    ) -> None:
        self.recent = RecentRequests(app)
        self._engine, self._secrets, self._about = engine, secrets, about
        self._made, self._changes, self._snapshot = float("-inf"), -1, b"{}"
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (name := _own_path(scope)) is not None:
            response = await self._answer(Request(scope, receive), name)
            response.headers.update(HEADERS)
            await response(scope, receive, send)
        else:
            await self.recent(scope, receive, send)

    async def _answer(self, request: Request, name: str) -> Response:
        if reason := _refusal(request):
            return PlainTextResponse(reason, 403)
        if name in ASSETS:
            file, kind = ASSETS[name]
            text = resources("azure_batch_emulator").joinpath("data/page", file).read_text(encoding="utf-8")
            return Response(text, media_type=f"{kind}; charset=utf-8")
        handler = {
            "state": self._state,
            "requests": self._requests,
            "task": self._task,
            "files": self._files,
            "file": self._file,
        }.get(name)
        if handler is None:
            return JSONResponse({"error": "There is nothing here."}, 404)
        try:
            return await handler(request.query_params)
        except BatchError as error:
            return JSONResponse({"error": error.code}, error.status)

    async def _state(self, query: Any) -> Response:
        """All that changes; `{"same": true}` where nothing has since the number `seen`."""
        async with self._making:
            if time.monotonic() - self._made >= OFTEN and self._engine.changes != self._changes:
                self._changes = self._engine.changes
                self._snapshot = await asyncio.to_thread(self._make)
                self._made = time.monotonic()
        if query.get("seen") == str(self._changes):
            now = round(self._engine.clock.now().timestamp() * 1000)
            return JSONResponse({"same": True, "now": now})
        return Response(self._snapshot, media_type="application/json")

    def _make(self) -> bytes:
        shown = self._engine.read(snapshot) | {"changes": self._changes, "about": self._about}
        return without(json.dumps(shown, separators=(",", ":")), self._secrets()).encode("utf-8", "replace")

    async def _requests(self, query: Any) -> Response:
        after = query.get("after", "0")
        return JSONResponse(self.recent.after(int(after) if after.isdecimal() and len(after) < 16 else 0))

    async def _task(self, query: Any) -> Response:
        def look(m: Machine) -> tuple[dict[str, Any], set[str]]:
            job, task = m.job(query.get("job", "")), m.task(query.get("job", ""), query.get("task", ""))
            return task_details(job, task), secret_values(environment_of(job, task))

        shown, secrets = await asyncio.to_thread(self._engine.read, look)
        secrets.update(self._secrets())
        hidden = {name: without(value, secrets) for name, value in shown.items() if isinstance(value, str)}
        return JSONResponse(shown | hidden)

    def _place(self, query: Any) -> Place:
        if "task" in query:
            return Place.of_task(self._engine, query.get("job", ""), query["task"])
        return Place.of_node(
            self._engine, query.get("pool", ""), query.get("node", ""), query.get("name", "")
        )

    async def _files(self, query: Any) -> Response:
        return JSONResponse(await asyncio.to_thread(lambda: self._place(query).listed()))

    async def _file(self, query: Any) -> Response:
        def read() -> dict[str, Any]:
            text, size = self._place(query).end(query.get("name", ""), self._secrets())
            return {"text": text, "size": size}

        return JSONResponse(await asyncio.to_thread(read))


def _own_path(scope: Scope) -> str | None:
    """What is asked for of the page: the rest of its path, empty for the page itself; None for all that is not its."""
    if scope["method"] not in ("GET", "HEAD"):
        return None
    path = scope["path"]
    if path.startswith(PAGE):
        return path.removeprefix(PAGE) or "?"
    if path != "/":
        return None
    accepts = next((value for name, value in scope["headers"] if name.lower() == b"accept"), b"")
    return "" if b"text/html" in accepts.lower() else None


def _is_here(scope: Scope) -> bool:
    """Whether the connection does not leave the machine, by its two addresses."""
    client, server = (tuple(scope.get(end) or ("",))[0] for end in ("client", "server"))
    try:
        return ip_address(client).is_loopback or client == server
    except ValueError:
        return False


def _refusal(request: Request) -> str:
    """Why the request is not answered; empty where it is."""
    if not is_own(request.scope):
        return "The page is for the user who runs the emulator; other users of the machine have the API and its key.\n"
    if not _is_here(request.scope):
        return "The page is for browsers on the emulator's own machine.\n"
    if (
        request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        and request.url.path != "/"
    ):
        return "The page answers its own requests only.\n"
    return ""
