"""Tokens for tasks on nodes whose pool has managed identities, as App Service's endpoint gives them.

https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..core.bodies import identities
from ..core.machine import Machine
from ..engine.engine import Engine
from ..identity import directory, managed
from ..nodes.access import LIFETIME, TOKEN_PATH

API_VERSIONS = ("2017-09-01", "2019-08-01")
# What names one identity of several, in the spellings of App Service and of virtual machines.
_BY: dict[str, Callable[[str], str]] = {
    "client_id": managed.client_id,
    "clientid": managed.client_id,
    "principal_id": managed.principal_id,
    "object_id": managed.principal_id,
    "mi_res_id": str,
    "msi_res_id": str,
}


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class ManagedIdentity:
    """The endpoint that IDENTITY_ENDPOINT of tasks points to."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def routes(self) -> list[Route]:
        return [Route(TOKEN_PATH, self.token)]

    async def token(self, request: Request) -> Response:
        try:
            return JSONResponse(self._token(request), headers={"Cache-Control": "no-store"})
        except _Refused as error:
            body = {"statusCode": error.status, "message": error.message, "correlationId": str(uuid.uuid4())}
            return JSONResponse(body, error.status)

    def _token(self, request: Request) -> dict:
        node = self._engine.access.node_of(request.headers.get("x-identity-header", ""))
        if node is None:
            raise _Refused(403, "The header X-IDENTITY-HEADER is not that of a node.")
        query = request.query_params
        if query.get("api-version") not in API_VERSIONS:
            raise _Refused(400, f"The api-version is one of {', '.join(API_VERSIONS)}.")
        resource = query.get("resource", "")
        if not directory.knows_resource(resource):
            raise _Refused(400, f"There is no resource {resource[:100]!r} to give a token for.")
        wanted = {name: query[name] for name in _BY if name in query}
        identity = _choose(self._identities(*node), wanted)
        now = datetime.now(UTC)
        return {
            "access_token": self._engine.access.token(identity, resource, now),
            "client_id": managed.client_id(identity),
            "expires_on": str(int((now + LIFETIME).timestamp())),
            "resource": resource,
            "token_type": "Bearer",
        }

    def _identities(self, pool_id: str, node_id: str) -> tuple[str, ...]:
        def read(m: Machine) -> tuple[str, ...]:
            pool = m.pools.get(pool_id.lower())
            return identities.of_pool(pool.spec) if pool and node_id in pool.nodes else ()

        return self._engine.read(read)


def _choose(known: tuple[str, ...], wanted: dict[str, str]) -> str:
    if len(wanted) > 1:
        raise _Refused(400, f"Only one of {', '.join(wanted)} can be given.")
    if not wanted:
        if len(known) == 1:
            return known[0]
        many = "several user-assigned identities: name one of them, such as by client_id"
        raise _Refused(400, f"The pool has {many if known else 'no managed identity'}.")
    ((name, value),) = wanted.items()
    for identity in known:
        if managed.same(_BY[name](identity), value):
            return identity
    raise _Refused(400, f"The pool has no managed identity with this {name}.")
