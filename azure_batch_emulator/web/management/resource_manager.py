"""Azure Resource Manager over HTTP: the subscription, the Batch account and its pools.

https://learn.microsoft.com/rest/api/batchmanagement/
"""

import json
import logging
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ...core.entities import Pool
from ...engine.engine import Engine
from ...identity import directory, managed
from ...identity.issuer import Issuer, TokenError
from ...identity.roles import Roles, allows
from ...management import accounts, errors, pools
from ...management.api_versions import API_VERSIONS
from ...management.errors import ManagementError
from ...management.lists import POOLS, selected
from ...protocol import odata
from ...protocol.errors import BatchError
from ...protocol.wire import format_time
from ..app import MAX_BODY, read_body
from ..request_log import notes
from . import applications as packages
from .call import Answer, Ask, listed, stamped

log = logging.getLogger("azure_batch_emulator.requests")
RETRY_AFTER = "1"  # seconds between a client's looks at a deletion
METHODS = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]
JSON = "application/json; charset=utf-8"


class Management:
    """Resource Manager's part of the server; only tokens open it."""

    def __init__(self, engine: Engine, issuer: Issuer, roles: Roles) -> None:
        self._engine, self._issuer, self._roles = engine, issuer, roles

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
            raw = await read_body(request)
            # Handlers may wait for the linked storage account.
            if self._engine.catalogue.auto_storage:
                answer = await run_in_threadpool(self._handle, request, raw, base)
            else:
                answer = self._handle(request, raw, base)
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
        except ClientDisconnect:
            return Response(None, 400)  # which nobody gets
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
        principal = self._principal(headers.get("authorization", ""))
        query = {name.lower(): value for name, value in parse_qsl(request.url.query, keep_blank_values=True)}
        if body is None:
            raise BatchError("RequestBodyTooLarge", [("MaxLimit", str(MAX_BODY))])
        path = request.url.path
        handler, template, parameters = _find(request.method, path)
        notes(request.scope)["operation"] = f"{request.method} {template}"
        _check_version(query.get("api-version"), path)
        _check_place(parameters)
        action = _action(request.method, template)
        if action is not None and not allows(self._roles.of(principal), action):
            if template.endswith("/batchAccounts"):
                return listed([])  # as of all that is listed: what one may see
            raise ManagementError(403, "AuthorizationFailed", _not_allowed(principal, action, path))
        return handler(Ask(self._engine, base, path, parameters, query, headers, body))

    def _principal(self, authorization: str) -> str:
        """The object id of who has sent the token; a ManagementError where it is no good one."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise ManagementError(
                401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
            )
        try:
            claims = self._issuer.verify(token.strip(), directory.MANAGEMENT, datetime.now(UTC))
        except TokenError as error:
            raise ManagementError(401, error.code, error.detail) from None
        return str(claims.get("oid", ""))


def _action(method: str, template: str) -> str | None:
    """What a role has to open for a request to a resource of Microsoft.Batch; None for others, which all may see."""
    kind = template.partition("/providers/")[2]
    if not kind.startswith("Microsoft.Batch"):
        return None
    parts = [part for part in kind.split("/") if not part.startswith("{")]
    verbs = {
        "GET": "read",
        "HEAD": "read",
        "PUT": "write",
        "PATCH": "write",
        "DELETE": "delete",
        "POST": "action",
    }
    return "/".join([*parts, verbs[method]])


def _not_allowed(principal: str, action: str, path: str) -> str:
    return (
        f"The client '{principal}' with object id '{principal}' does not have authorization to perform action "
        f"'{action}' over scope '{path}' or the scope is invalid. If access was recently granted, please refresh your "
        "credentials."
    )


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


def _account(ask: Ask) -> dict:
    host = ask.base.partition("//")[2]
    storage = ask.engine.linked_storage.account.name if ask.engine.catalogue.auto_storage else None
    return ask.engine.read(lambda m: accounts.account(m, host, storage))


def _get_account(ask: Ask) -> Answer:
    return Answer(body=_account(ask))


def _patch_account(ask: Ask) -> Answer:
    ask.engine.call(accounts.update, ask.body())
    return _get_account(ask)


def _put_account(ask: Ask) -> Answer:
    """As `az batch account create` asks for it: the account is there already, and is as it is."""
    ask.engine.call(accounts.create, ask.body())
    return _get_account(ask)


def _list_keys(ask: Ask) -> Answer:
    return Answer(body=ask.engine.read(accounts.show_keys))


def _regenerate_key(ask: Ask) -> Answer:
    ask.engine.call(accounts.regenerate, ask.body())
    return _list_keys(ask)


def _synchronise_keys(ask: Ask) -> Answer:
    ask.engine.call(accounts.synchronise)
    return Answer(204)


def _list_accounts(ask: Ask) -> Answer:
    return listed([_account(ask)])


def _check_name(ask: Ask) -> Answer:
    name = ask.body().get("name")
    if not isinstance(name, str):
        raise BatchError("MissingRequiredProperty", [("PropertyName", "name")])
    return Answer(body=accounts.name_availability(name))


def _get_identity(ask: Ask) -> Answer:
    if not managed.is_identity(ask.path):
        raise ManagementError(404, "ResourceNotFound", "There is no such identity.")
    return Answer(body=accounts.identity(ask.path))


# Pools


def _resource(pool: Pool, ask: Ask) -> dict:
    return pools.show(pool, f"{accounts.ACCOUNT_PATH}/pools/{pool.id}", ask.version)


def _pool_answer(pool: Pool, ask: Ask) -> Answer:
    return stamped(_resource(pool, ask), pool.modified)


def _pool(stimulus: Callable, ask: Ask, *args: object) -> Answer:
    return ask.engine.call(lambda m: _pool_answer(stimulus(m, ask.parameters["pool"], *args), ask))


def _get_pool(ask: Ask) -> Answer:
    return ask.engine.read(lambda m: _pool_answer(m.pool(ask.parameters["pool"]), ask))


def _put_pool(ask: Ask) -> Answer:
    return _pool(pools.put, ask, ask.body(), ask.version, ask.conditions())


def _patch_pool(ask: Ask) -> Answer:
    return _pool(pools.patch, ask, ask.body(), ask.version, ask.conditions())


def _delete_pool(ask: Ask) -> Answer:
    pool = ask.engine.call(pools.delete, ask.parameters["pool"])
    if pool is None:
        return Answer(204)
    # The name alone would not do: it may be another pool's by the time that the client looks.
    operation = f"delete-{pool.id}-{pool.created.timestamp():.6f}"
    url = f"{ask.base}{accounts.ACCOUNT_PATH}/poolOperationResults/{operation}?api-version={ask.version}"
    return Answer(202, None, (("Location", url), ("Retry-After", RETRY_AFTER)))


def _deletion(ask: Ask) -> Answer:
    match = re.fullmatch(r"delete-([\w-]+)-(\d+\.\d{6})", ask.parameters["operation"])
    if not match:
        raise ManagementError(404, "ResourceNotFound", "There is no such operation.")

    def read(m) -> bool:
        pool = m.pools.get(match[1].lower())
        return pool is not None and f"{pool.created.timestamp():.6f}" == match[2]

    if ask.engine.read(read):
        url = f"{ask.base}{ask.path}?api-version={ask.version}"
        return Answer(202, None, (("Location", url), ("Retry-After", RETRY_AFTER)))
    return Answer(200)


def _list_pools(ask: Ask) -> Answer:
    chosen = selected(ask.query.get("$select"))
    predicate = odata.compile_filter(ask.query.get("$filter"), POOLS)

    def show(pool: Pool) -> dict:
        return _projected(_resource(pool, ask), chosen)

    return ask.engine.read(lambda m: ask.page(sorted(m.pools.items()), show, predicate))


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
_APPLICATION = f"{_ACCOUNT}/applications/{{application}}"
_PACKAGE = f"{_APPLICATION}/versions/{{version}}"
_ELSEWHERE = "/subscriptions/{another}/resourceGroups/{othergroup}/providers/Microsoft.ManagedIdentity"
_HANDLERS: tuple[tuple[str, str, Callable[[Ask], Answer]], ...] = (
    ("GET", "/tenants", lambda ask: listed([accounts.tenant()])),
    ("GET", "/subscriptions", lambda ask: listed([accounts.subscription()])),
    ("GET", _SUBSCRIPTION, lambda ask: Answer(body=accounts.subscription())),
    ("GET", f"{_SUBSCRIPTION}/resourceGroups", lambda ask: listed([accounts.group()])),
    ("GET", _GROUP, lambda ask: Answer(body=accounts.group())),
    ("GET", f"{_ELSEWHERE}/userAssignedIdentities/{{identity}}", _get_identity),
    ("GET", f"{_SUBSCRIPTION}{_BATCH}/batchAccounts", _list_accounts),
    ("GET", f"{_GROUP}{_BATCH}/batchAccounts", _list_accounts),
    ("GET", _ACCOUNT, _get_account),
    ("PUT", _ACCOUNT, _put_account),
    ("PATCH", _ACCOUNT, _patch_account),
    ("POST", f"{_ACCOUNT}/listKeys", _list_keys),
    ("POST", f"{_ACCOUNT}/regenerateKeys", _regenerate_key),
    ("POST", f"{_ACCOUNT}/syncAutoStorageKeys", _synchronise_keys),
    ("GET", f"{_ACCOUNT}/privateEndpointConnections", lambda ask: listed([])),
    ("GET", f"{_ACCOUNT}/networkSecurityPerimeterConfigurations", lambda ask: listed([])),
    ("GET", f"{_PLACE}/quotas", lambda ask: Answer(body={"accountQuota": 1})),
    ("GET", f"{_PLACE}/virtualMachineSkus", lambda ask: listed(accounts.vm_skus(ask.engine.catalogue))),
    ("POST", f"{_PLACE}/checkNameAvailability", _check_name),
    ("GET", f"{_ACCOUNT}/applications", packages.list_applications),
    ("GET", _APPLICATION, packages.get_application),
    ("PUT", _APPLICATION, packages.put_application),
    ("PATCH", _APPLICATION, packages.patch_application),
    ("DELETE", _APPLICATION, packages.delete_application),
    ("GET", f"{_APPLICATION}/versions", packages.list_packages),
    ("GET", _PACKAGE, packages.get_package),
    ("PUT", _PACKAGE, packages.put_package),
    ("POST", f"{_PACKAGE}/activate", packages.activate_package),
    ("DELETE", _PACKAGE, packages.delete_package),
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
            "detectors", "networkSecurityPerimeterConfigurations", "outboundNetworkDependenciesEndpoints",
            "privateEndpointConnections", "privateLinkResources",
        )
    ),
)  # fmt: skip


def _pattern(template: str, below: str = "") -> re.Pattern[str]:
    """Resource Manager's paths are the same in upper and lower case."""
    path = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", template.replace(".", r"\."))
    return re.compile(path + below, re.IGNORECASE)


_TABLE = [(method, _pattern(template), handler, template) for method, template, handler in _HANDLERS]
_REFUSED = [_pattern(template, "" if template == _ACCOUNT else "(?:/.*)?") for template in _MISSING]


def _find(method: str, path: str) -> tuple[Callable[[Ask], Answer], str, dict[str, str]]:
    """The handler, the resource that it is for, and the parameters of the path."""
    path = path.rstrip("/")
    known = False
    for wanted, pattern, handler, template in _TABLE:
        if match := pattern.fullmatch(path):
            if wanted == method:
                return handler, template, match.groupdict()
            known = True
    for pattern in _REFUSED:
        if match := pattern.fullmatch(path):
            return _not_here, path, match.groupdict()
    if known:
        raise ManagementError(405, "MethodNotAllowed", f"The method {method} is not for this resource.")
    raise ManagementError(404, "InvalidResourceType", "The emulator has no resource of this type.")
