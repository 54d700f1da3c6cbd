"""Logins at registries by a pool's managed identity: the identity's token is exchanged for the registry's own.

https://learn.microsoft.com/azure/batch/batch-docker-container-workloads#managed-identity-support-for-acr, the exchange
that Azure Container Registry has: https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import requests

from .access import NodeAccess
from .runners.container_engine import registry_host

TIMEOUT = 30.0
USER = "00000000-0000-0000-0000-000000000000"  # whom a registry's refresh token is the password of
RESOURCE = "https://containerregistry.azure.net"


def with_logins(registries: Iterable[Mapping], access: NodeAccess) -> tuple[Mapping, ...]:
    """The registries, with a user's name and password where an identity opened one. One that it does not open is left
    without a login, and the pull fails, as on a node whose identity lacks the role AcrPull."""
    return tuple(_with_login(registry, access) for registry in registries)


def _with_login(registry: Mapping, access: NodeAccess) -> Mapping:
    reference = registry.get("identityReference")
    if reference is None:
        return registry
    host = registry_host(registry.get("registryServer") or "")
    scheme = "http" if host.partition(":")[0] in ("localhost", "127.0.0.1") else "https"
    form = {
        "grant_type": "access_token",
        "service": host,
        "access_token": access.token(reference["resourceId"], RESOURCE, datetime.now(UTC)),
    }
    try:
        answer = requests.post(f"{scheme}://{host}/oauth2/exchange", data=form, timeout=TIMEOUT)
        answer.raise_for_status()
        password = answer.json()["refresh_token"]
    except (requests.RequestException, ValueError, LookupError):
        return {"registryServer": registry.get("registryServer")}
    return {"registryServer": registry.get("registryServer"), "username": USER, "password": password}
