"""The ASGI application: authenticates, routes, checks, calls a handler, and shapes the answer."""

import inspect
import json
import logging
import uuid
from datetime import UTC, datetime
from functools import cache
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from .. import API_VERSIONS
from ..engine.engine import Engine
from ..identity import directory
from ..protocol import api_versions
from ..protocol.conditions import Conditions
from ..protocol.errors import BatchError
from ..protocol.schema import check_model, parse_object
from ..protocol.wire import format_time
from . import routing
from .auth import Authenticator
from .call import Call, Reply
from .operations import account, files, job_schedules, jobs, nodes, pools
from .request_log import notes
from .visitors import is_own

log = logging.getLogger("azure_batch_emulator.requests")
MAX_BODY = 1 << 20  # bytes of a request body, as addtaskcollection documents it
LENGTHS = {"content-length", "transfer-encoding"}
JSON = "application/json;odata=minimalmetadata"
COMMON = {
    "Server": "Microsoft-HTTPAPI/2.0",
    "DataServiceVersion": "3.0",
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}


@cache
def handlers() -> dict:
    """The operations that the emulator has, by name."""
    found = {}
    for operation in routing.operations():
        for module in (
            pools,
            nodes,
            job_schedules,
            jobs,
            files,
            account,
        ):
            if handler := getattr(module, operation.name, None):
                found[operation.name] = handler
    return found


class Application:
    """One Batch account over HTTP."""

    def __init__(self, engine: Engine, authenticator: Authenticator) -> None:
        self._engine = engine
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        request_id = notes(scope)["requestId"] = str(uuid.uuid4())
        raw_path = scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        try:
            response = await self._answer(request, raw_path, request_id)
        except BatchError as error:
            response = error_response(request, error, request_id)
        except ClientDisconnect:
            return  # before all of the body came: nothing has happened, and nobody is there to be told
        except Exception as error:  # noqa: BLE001 - a defect becomes the service's own 500, and is logged
            log.exception("a defect of the emulator in %s %s", request.method, raw_path, exc_info=error)
            response = error_response(request, BatchError("InternalError"), request_id)
        await response(scope, receive, send)

    async def _answer(self, request: Request, raw_path: str, request_id: str) -> Response:
        # All of the body is read before anything is refused: the connection stays usable.
        raw_body = await read_body(request)
        pairs = parse_qsl(request.scope["query_string"].decode("ascii", "replace"), keep_blank_values=True)
        headers = {name.lower(): value for name, value in request.headers.items()}
        access = self._authenticator.check(
            request.method, raw_path, pairs, headers, datetime.now(UTC), is_own(request.scope)
        )
        notes(request.scope)["account"] = self._engine.account
        query: dict[str, str] = {}
        for name, value in pairs:
            query.setdefault(name.lower(), value)
        version = _check_version(query.pop("api-version", None))
        if request.method in ("POST", "PUT", "PATCH") and not headers.keys() & LENGTHS:
            raise BatchError("MissingContentLengthHeader")
        if raw_body is None:
            raise BatchError("RequestBodyTooLarge", [("MaxLimit", str(MAX_BODY))])
        prefix = f"/{self._engine.account}"
        path = raw_path.removeprefix(prefix) if raw_path.startswith(prefix + "/") else raw_path
        operation, parameters = routing.find(request.method, path, version)
        notes(request.scope)["operation"] = operation.name
        access.check(operation.method, operation.segments, parameters)
        _check_query(operation, query)
        base = f"{request.url.scheme}://{headers.get('host', '')}" + raw_path.removesuffix(path)
        call = Call(
            self._engine,
            operation,
            parameters,
            query,
            headers | {"x-request-id": request_id},
            _body(operation, raw_body, version),
            base,
            path,
            version,
            Conditions.parse(headers, operation.conditions),
        )
        access.check_body(operation.name, call.body)
        reply = handlers()[operation.name](call)
        if inspect.isawaitable(reply):
            reply = await reply
        return _response(reply, operation.status, _headers(request, request_id), request.method)


def error_response(request: Request, error: BatchError, request_id: str) -> Response:
    """The service's answer to a request that it refuses."""
    notes(request.scope).update(errorCode=error.code, requestId=request_id)
    headers = _headers(request, request_id)
    base = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if error.status == 401:
        headers["WWW-Authenticate"] = _challenge(base)
    if request.method == "HEAD" or error.status == 304:
        return Response(None, error.status, headers)
    kind = "Microsoft.Azure.Batch.Protocol.Entities.Container.errors"
    body = {"odata.metadata": f"{base}/$metadata#{kind}/@Element"}
    body |= error.body(request_id, format_time(datetime.now(UTC)))
    return Response(json.dumps(body), error.status, headers, JSON)


def _challenge(base: str) -> str:
    return (
        f'Bearer authorization_uri="{base}/{directory.TENANT}/oauth2/authorize", '
        f'resource_id="{directory.BATCH}", SharedKey realm="{base}"'
    )


def _headers(request: Request, request_id: str) -> dict[str, str]:
    headers = COMMON | {"request-id": request_id}
    client_id = request.headers.get("client-request-id") or request.headers.get("x-ms-client-request-id")
    if client_id and request.headers.get("return-client-request-id", "").lower() == "true":
        headers["client-request-id"] = client_id
    return headers


def _response(reply: Reply, status: int, headers: dict[str, str], method: str) -> Response:
    headers |= reply.headers
    if reply.stream is not None:
        return StreamingResponse(reply.stream, status, headers)
    if reply.body is not None:
        return Response(json.dumps(reply.body), status, headers, JSON)
    return Response(None, status, headers)


async def read_body(request: Request) -> bytes | None:
    """The body, or None when it is too large to be kept."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
    return b"".join(chunks) if size <= MAX_BODY else None


def _check_version(version: str | None) -> str:
    if version is None:
        raise BatchError("MissingRequiredQueryParameter", [("QueryParameterName", "api-version")])
    if version not in API_VERSIONS:
        raise BatchError(
            "UnsupportedRequestVersion", [("ApiVersion", version), ("Supported", ", ".join(API_VERSIONS))]
        )
    return version


def _check_query(operation: routing.Operation, query: dict[str, str]) -> None:
    known = operation.query | {"timeout"}
    if "maxresults" in known:
        known |= {"$skiptoken"}
    for name in query:
        if name not in known:
            raise BatchError("UnsupportedQueryParameter", [("QueryParameterName", name)])


def _body(operation: routing.Operation, raw: bytes, version: str) -> dict:
    if operation.body is None:
        return {}
    if not raw.strip():
        if operation.body_optional:
            return {}
        raise BatchError("InvalidRequestBody", [("Reason", "The request needs a body.")])
    if operation.name == "create_task_collection":
        return jobs.parse_collection(raw)
    body, kept = api_versions.to_current(operation.body, parse_object(raw), version)
    return api_versions.joined(check_model(operation.body, body, ""), kept)
