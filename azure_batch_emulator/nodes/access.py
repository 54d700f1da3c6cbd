"""What a node reaches other services with: the authorities that it trusts, and its pool's managed identities.

Tasks on real nodes ask 169.254.169.254 for tokens, an address that nobody can bind on loopback. Here they are given the
two variables that App Service has for the same purpose, which the clients of all languages look for.
https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

import secrets
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt

from ..core.instructions import StartRun
from ..host.certificate import Certificate
from ..identity import directory, managed
from ..identity.access import JOB_CLAIM
from ..identity.issuer import ISSUER, Issuer

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient

LIFETIME = timedelta(hours=24)  # of a managed identity's token
TASK_LIFETIME = timedelta(days=180)  # of a task's token: as long as a task may live
TOKEN_PATH = "/msi/token"
BUNDLE = Path("volatile", "ca-bundle.pem")  # below the node's root
# Of Blob Storage: one that the real service and every Azurite of these years know.
STORAGE_VERSION = "2021-12-02"


class NodeAccess:
    """Of all nodes of an emulator. `certificate` is what it serves https with, if it does."""

    def __init__(self, issuer: Issuer, certificate: Certificate | None = None) -> None:
        self._issuer, self._certificate = issuer, certificate
        self._secret = secrets.token_bytes(32)

    @cached_property
    def trust(self) -> ssl.SSLContext | None:
        """For the nodes' own transfers; None means what this machine trusts."""
        return self._certificate.trust() if self._certificate else None

    def prepare(self, root: Path) -> None:
        """Puts onto a new node what its tasks need to trust."""
        if self._certificate and (bundle := self._certificate.bundle()):
            (root / BUNDLE).write_bytes(bundle)

    def environment(self, run: StartRun, root: Path, account_url: str) -> dict[str, str]:
        """Variables that a task finds unless it was given others."""
        variables: dict[str, str] = {}
        mounts = run.spec.get("containerSettings", {}).get("containerHostBatchBindMounts")
        if mounts is None and (root / BUNDLE).exists():  # with mounts of its own, a container does not see it
            names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
            variables |= dict.fromkeys(names, str(root / BUNDLE))
        if run.identities:
            header = jwt.encode({"pool": run.pool, "node": run.node}, self._secret, "HS256")
            variables |= {"IDENTITY_ENDPOINT": account_url + TOKEN_PATH, "IDENTITY_HEADER": header}
        return variables

    def authentication_token(self, run: StartRun) -> dict[str, str]:
        """The variable of a task whose authenticationTokenSettings ask for access to its job.

        https://learn.microsoft.com/azure/batch/batch-compute-node-environment-variables
        """
        if run.job is None or not run.spec.get("authenticationTokenSettings", {}).get("access"):
            return {}
        claims = {JOB_CLAIM: run.job, "sub": run.task}
        token = self._issuer.issue(directory.BATCH, claims, datetime.now(UTC), TASK_LIFETIME)
        return {"AZ_BATCH_AUTHENTICATION_TOKEN": token}

    def node_of(self, header: str) -> tuple[str, str] | None:
        """Which node (pool and node id) sends this X-IDENTITY-HEADER; None if it is no node's."""
        try:
            claims = jwt.decode(header, self._secret, ["HS256"])
        except (jwt.InvalidTokenError, UnicodeEncodeError):
            return None
        return claims["pool"], claims["node"]

    def token(self, identity: str, resource: str, now: datetime) -> str:
        """An access token of a user-assigned identity."""
        client, principal = managed.client_id(identity), managed.principal_id(identity)
        claims = {
            "appid": client,
            "appidacr": "2",
            "idp": ISSUER,
            "idtyp": "app",
            "oid": principal,
            "sub": principal,
            "xms_mirid": identity,
        }
        return self._issuer.issue(resource, claims, now, LIFETIME)

    def container(self, url: str, identity: Mapping | None) -> "ContainerClient":
        """A client for a container, by what its URL carries or with the token of an identityReference."""
        from azure.storage.blob import ContainerClient

        return ContainerClient.from_container_url(url, **self._options(self._credential(identity)))

    def blob(self, url: str, identity: Mapping | None) -> "BlobClient":
        from azure.storage.blob import BlobClient

        return BlobClient.from_blob_url(url, **self._options(self._credential(identity)))

    def service_as(self, url: str, identity: Mapping) -> "BlobServiceClient":
        """A client for an account with the token of an identityReference."""
        return self.service(url, self._credential(identity))

    def service(self, url: str, credential: Any) -> "BlobServiceClient":
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient(url, **self._options(credential))

    def _credential(self, identity: Mapping | None) -> "_Credential | None":
        return None if identity is None else _Credential(self, identity["resourceId"])

    def _options(self, credential: Any) -> dict[str, Any]:
        options: dict[str, Any] = {"api_version": STORAGE_VERSION}
        if credential is not None:
            options["credential"] = credential
        if self.trust is not None:
            options["transport"] = _transport(self.trust)
        return options


class _Credential:
    """A node's agent as a client of Azure's SDK sees it."""

    def __init__(self, access: NodeAccess, identity: str) -> None:
        self._access, self._identity = access, identity

    def get_token(self, *scopes: str, **_: Any) -> "AccessToken":
        from azure.core.credentials import AccessToken

        now = datetime.now(UTC)
        token = self._access.token(self._identity, scopes[0].removesuffix("/.default"), now)
        return AccessToken(token, int((now + LIFETIME).timestamp()))


def _transport(trust: ssl.SSLContext) -> Any:
    import requests
    from azure.core.pipeline.transport import RequestsTransport
    from requests.adapters import HTTPAdapter

    class Trusting(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, ssl_context=trust, **options)

    session = requests.Session()
    session.mount("https://", Trusting())
    return RequestsTransport(session=session)
