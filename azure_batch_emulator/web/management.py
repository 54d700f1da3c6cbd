"""Azure Resource Manager over HTTP: the subscription, the Batch account and its pools.

https://learn.microsoft.com/rest/api/batchmanagement/
"""

import json
import logging
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import odata
from ..conditions import Conditions
from ..core.entities import Pool
from ..engine import Engine
from ..errors import BatchError
from ..identity import directory, managed
from ..identity.issuer import Issuer, TokenError
from ..management import accounts, errors, pools
from ..management.errors import ManagementError
from ..management.lists import POOLS, selected
from ..schema import parse_object
from ..wire import format_time, http_date
from .app import MAX_BODY, read_body

log = logging.getLogger("azure_batch_emulator.requests")
API_VERSIONS = ("2025-06-01", "2024-07-01", "2024-02-01")
RETRY_AFTER = "1"  # seconds between a client's looks at a deletion
METHODS = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]
JSON = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Ask:
    """A request that has been let in: what the handlers need of it."""

    engine: Engine
    base: str
    path: str
    parameters: dict[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def pool_id(self) -> str:
        return self.parameters["pool"]

    def conditions(self) -> Conditions:
        return Conditions.parse(self.headers, "all")


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: dict | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Management:
    """Resource Manager's part of the server; only tokens open it."""

    def __init__(self, engine: Engine, issuer: Issuer) -> None:
        self._engine, self._issuer = engine, issuer

    def routes(self) -> list[Route]:
        paths = ("/subscriptions", "/subscriptions/{rest:path}", "/tenants", "/providers/{rest:path}")
        return [Route(path, self.answer, methods=METHODS) for path in paths]

    async def answer(self, request: Request) -> Response:
        request_id = str(uuid.uuid4())
        base = f"{request.url.scheme}://{request.url.netloc}"
        headers = {
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            "x-ms-request-id": request_id,
            "x-ms-correlation-request-id": request_id,
        }
        try:
            answer = self._handle(request, await read_body(request), base)
            body = answer.body
            headers |= dict(answer.headers)
            status = answer.status
        except (BatchError, ManagementError) as error:
            status, body = error.status, errors.body(error, request_id, format_time(datetime.now(UTC)))
            if status == 401:
                headers["WWW-Authenticate"] = (
                    f'Bearer authorization_uri="{base}/{directory.TENANT}", error="invalid_token", '
                    'error_description="The access token is missing or not valid."'
                )
        except Exception as error:  # noqa: BLE001 - a defect becomes a 500 of the usual form, and is logged
            log.exception(
                "a defect of the emulator in %s %s", request.method, request.url.path, exc_info=error
            )
            failure = BatchError("InternalError")
            status, body = failure.status, errors.body(failure, request_id, format_time(datetime.now(UTC)))
        log.debug("%s %s?%s -> %s", request.method, request.url.path, request.url.query, status)
        if body is None:
            return Response(None, status, headers)
        return Response(json.dumps(body), status, headers, JSON)

    def _handle(self, request: Request, body: bytes | None, base: str) -> Answer:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._check_token(headers.get("authorization", ""))
        query = {name.lower(): value for name, value in parse_qsl(request.url.query, keep_blank_values=True)}
        if body is None:
            raise BatchError("RequestBodyTooLarge", [("MaxLimit", str(MAX_BODY))])
        path = request.url.path
        handler, parameters = _find(request.method, path)
        _check_version(query.get("api-version"), path)
        _check_place(parameters)
        return handler(Ask(self._engine, base, path, parameters, query, headers, body))

    def _check_token(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise ManagementError(
                401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
            )
        try:
            self._issuer.verify(token.strip(), directory.MANAGEMENT, datetime.now(UTC))
        except TokenError as error:
            raise ManagementError(401, error.code, error.detail) from None


def _check_version(version: str | None, path: str) -> None:
    if version is None:
        raise ManagementError(
            400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required."
        )
    if "/providers/microsoft.batch" in path.lower() and version not in API_VERSIONS:
        raise ManagementError(
            400,
            "NoRegisteredProviderFound",
            f"No registered resource provider found for API version '{version}' of Microsoft.Batch; the emulator "
            f"has {', '.join(API_VERSIONS)}.",
        )


def _check_place(parameters: dict[str, str]) -> None:
    if "subscription" in parameters:
        accounts.check_subscription(parameters["subscription"])
    if "group" in parameters:
        accounts.check_group(parameters["group"])
    if "account" in parameters:
        accounts.check_account(parameters["account"])
    if "location" in parameters:
        accounts.check_location(parameters["location"])


# The subscription and the account


def _get_account(ask: Ask) -> Answer:
    profile = ask.engine.read(lambda m: m.profile)
    return Answer(body=accounts.account(profile, ask.base.partition("//")[2]))


def _list_accounts(ask: Ask) -> Answer:
    return _list([_get_account(ask).body])


def _check_name(ask: Ask) -> Answer:
    name = parse_object(ask.body).get("name")
    if not isinstance(name, str):
        raise BatchError("MissingRequiredProperty", [("PropertyName", "name")])
    return Answer(body=accounts.name_availability(name))


def _get_identity(ask: Ask) -> Answer:
    if not managed.is_identity(ask.path):
        raise ManagementError(404, "ResourceNotFound", "There is no such identity.")
    return Answer(body=accounts.identity(ask.path))


def _list(values: list, next_link: str | None = None) -> Answer:
    return Answer(body={"value": values} | ({"nextLink": next_link} if next_link else {}))


# Pools


def _resource(pool: Pool) -> dict:
    return pools.show(pool, f"{accounts.ACCOUNT_PATH}/pools/{pool.id}")


def _pool_answer(pool: Pool) -> Answer:
    resource = _resource(pool)
    stamps = (("ETag", resource["etag"]), ("Last-Modified", http_date(pool.modified)))
    return Answer(body=resource, headers=stamps)


def _pool(stimulus: Callable, ask: Ask, *args: object) -> Answer:
    return ask.engine.call(lambda m: _pool_answer(stimulus(m, ask.pool_id, *args)))


def _get_pool(ask: Ask) -> Answer:
    return ask.engine.read(lambda m: _pool_answer(m.pool(ask.pool_id)))


def _put_pool(ask: Ask) -> Answer:
    return _pool(pools.put, ask, parse_object(ask.body), ask.conditions())


def _patch_pool(ask: Ask) -> Answer:
    return _pool(pools.patch, ask, parse_object(ask.body), ask.conditions())


def _delete_pool(ask: Ask) -> Answer:
    pool = ask.engine.call(pools.delete, ask.pool_id)
    if pool is None:
        return Answer(204)
    # The name alone would not do: it may be another pool's by the time that the client looks.
    operation = f"delete-{pool.id}-{pool.created.timestamp():.6f}"
    url = f"{ask.base}{accounts.ACCOUNT_PATH}/poolOperationResults/{operation}?api-version={ask.query['api-version']}"
    return Answer(202, None, (("Location", url), ("Retry-After", RETRY_AFTER)))


def _deletion(ask: Ask) -> Answer:
    match = re.fullmatch(r"delete-([\w-]+)-(\d+\.\d{6})", ask.parameters["operation"])
    if not match:
        raise ManagementError(404, "ResourceNotFound", "There is no such operation.")

    def read(m) -> bool:
        pool = m.pools.get(match[1].lower())
        return pool is not None and f"{pool.created.timestamp():.6f}" == match[2]

    if ask.engine.read(read):
        url = f"{ask.base}{ask.path}?api-version={ask.query['api-version']}"
        return Answer(202, None, (("Location", url), ("Retry-After", RETRY_AFTER)))
    return Answer(200)


def _list_pools(ask: Ask) -> Answer:
    chosen = selected(ask.query.get("$select"))
    predicate = odata.compile_filter(ask.query.get("$filter"), POOLS)
    limit = odata.max_results(ask.query.get("maxresults"))

    def read(m) -> Answer:
        found, token = odata.page(sorted(m.pools.items()), predicate, limit, ask.query.get("$skiptoken"))
        link = None
        if token:
            query = {name: value for name, value in ask.query.items() if name != "$skiptoken"}
            query["$skiptoken"] = token
            link = f"{ask.base}{ask.path}?{urlencode(query, safe='$', quote_via=quote)}"
        return _list([_projected(_resource(pool), chosen) for pool in found], link)

    return ask.engine.read(read)


def _projected(resource: dict, chosen: frozenset[str] | None) -> dict:
    """The resource with those of its properties that `$select` names."""
    if chosen is None:
        return resource
    properties = {name: value for name, value in resource["properties"].items() if name in chosen}
    return resource | {"properties": properties}


def _not_here(ask: Ask) -> Answer:
    raise BatchError("NotImplementedByEmulator", [("Path", ask.path)])


_SUBSCRIPTION = "/subscriptions/{subscription}"
_GROUP = f"{_SUBSCRIPTION}/resourceGroups/{{group}}"
_BATCH = "/providers/Microsoft.Batch"
_ACCOUNT = f"{_GROUP}{_BATCH}/batchAccounts/{{account}}"
_PLACE = f"{_SUBSCRIPTION}{_BATCH}/locations/{{location}}"
_POOL = f"{_ACCOUNT}/pools/{{pool}}"
_ELSEWHERE = "/subscriptions/{another}/resourceGroups/{othergroup}/providers/Microsoft.ManagedIdentity"
_HANDLERS: tuple[tuple[str, str, Callable[[Ask], Answer]], ...] = (
    ("GET", "/tenants", lambda ask: _list([accounts.tenant()])),
    ("GET", "/subscriptions", lambda ask: _list([accounts.subscription()])),
    ("GET", _SUBSCRIPTION, lambda ask: Answer(body=accounts.subscription())),
    ("GET", f"{_SUBSCRIPTION}/resourceGroups", lambda ask: _list([accounts.group()])),
    ("GET", _GROUP, lambda ask: Answer(body=accounts.group())),
    ("GET", f"{_ELSEWHERE}/userAssignedIdentities/{{identity}}", _get_identity),
    ("GET", f"{_SUBSCRIPTION}{_BATCH}/batchAccounts", _list_accounts),
    ("GET", f"{_GROUP}{_BATCH}/batchAccounts", _list_accounts),
    ("GET", _ACCOUNT, _get_account),
    ("POST", f"{_ACCOUNT}/listKeys", lambda ask: Answer(body=accounts.keys())),
    ("GET", f"{_PLACE}/quotas", lambda ask: Answer(body={"accountQuota": 1})),
    ("GET", f"{_PLACE}/virtualMachineSkus", lambda ask: _list(accounts.vm_skus(ask.engine.catalogue))),
    ("POST", f"{_PLACE}/checkNameAvailability", _check_name),
    ("GET", f"{_ACCOUNT}/pools", _list_pools),
    ("GET", _POOL, _get_pool),
    ("PUT", _POOL, _put_pool),
    ("PATCH", _POOL, _patch_pool),
    ("DELETE", _POOL, _delete_pool),
    ("POST", f"{_POOL}/disableAutoScale", lambda ask: _pool(pools.disable_auto_scale, ask)),
    ("POST", f"{_POOL}/stopResize", lambda ask: _pool(pools.stop_resize, ask)),
    ("GET", f"{_ACCOUNT}/poolOperationResults/{{operation}}", _deletion),
)
# What Resource Manager has and the emulator has not.
_MISSING = (
    f"{_BATCH}/operations",
    _ACCOUNT,
    *(
        f"{_ACCOUNT}/{kind}"
        for kind in (
            "applications", "detectors", "networkSecurityPerimeterConfigurations",
            "outboundNetworkDependenciesEndpoints", "privateEndpointConnections", "privateLinkResources",
            "regenerateKeys", "syncAutoStorageKeys",
        )
    ),
)  # fmt: skip


def _pattern(template: str) -> re.Pattern[str]:
    """Resource Manager's paths are the same in upper and lower case."""
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", template.replace(".", r"\.")), re.IGNORECASE)


_TABLE = [(method, _pattern(template), handler) for method, template, handler in _HANDLERS]
_REFUSED = [_pattern(template + "(?:/.*)?" if template != _ACCOUNT else template) for template in _MISSING]


def _find(method: str, path: str) -> tuple[Callable[[Ask], Answer], dict[str, str]]:
    path = path.rstrip("/")
    known = False
    for wanted, pattern, handler in _TABLE:
        if match := pattern.fullmatch(path):
            if wanted == method:
                return handler, match.groupdict()
            known = True
    for pattern in _REFUSED:
        if match := pattern.fullmatch(path):
            return _not_here, match.groupdict()
    if known:
        raise ManagementError(405, "MethodNotAllowed", f"The method {method} is not for this resource.")
    raise ManagementError(404, "InvalidResourceType", "The emulator has no resource of this type.")
