"""Entra ID logins: `DefaultAzureCredential`, asked of the cloud that the endpoint belongs to.

It takes a service principal or the client id of a managed identity from AZURE_CLIENT_ID, and whatever else
https://learn.microsoft.com/python/api/azure-identity/azure.identity.defaultazurecredential lists.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from snakemake.azure import retry
from snakemake.azure.wire import is_loopback

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

AUTHORITY_HOST = "AZURE_AUTHORITY_HOST"


@dataclass(frozen=True)
class Cloud:
    """What differs between Azure's clouds for a login: `end` is that of the names of hosts, `authority` the host that
    gives tokens, `batch` the audience of those for Batch, with the slash at its end. That of tokens for Blob Storage
    is https://storage.azure.com in all of them. `management` is Azure Resource Manager's, and the audience for it.
    """

    end: str
    authority: str | None
    batch: str
    management: str


# https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud; the audiences are those of the
# Batch service's pages on Entra ID, https://learn.microsoft.com/azure/batch/batch-aad-auth and its like for China
# (https://docs.azure.cn/batch/batch-aad-auth), and of the az CLI's list of clouds.
PUBLIC = Cloud("", None, "https://batch.core.windows.net/", "https://management.azure.com")
OTHERS = (
    Cloud(
        ".chinacloudapi.cn",
        "login.chinacloudapi.cn",
        "https://batch.chinacloudapi.cn/",
        "https://management.chinacloudapi.cn",
    ),
    Cloud(
        ".usgovcloudapi.net",
        "login.microsoftonline.us",
        "https://batch.core.usgovcloudapi.net/",
        "https://management.usgovcloudapi.net",
    ),
)


def cloud_of(url: str) -> Cloud:
    """The cloud that the endpoint is in; one on a domain of no cloud counts as Azure's public one."""
    host = urlsplit(url).hostname or ""
    return next((cloud for cloud in OTHERS if host.endswith(cloud.end)), PUBLIC)


def authority_of(url: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The host that gives tokens for the endpoint; None for AZURE_AUTHORITY_HOST, or else Azure's public cloud."""
    return None if environ.get(AUTHORITY_HOST) else cloud_of(url).authority


def batch_scope(url: str) -> str:
    """What a token for this endpoint of Batch is asked for. Batch compares the audience letter by letter, its last
    slash included, so that there are two.
    """
    return f"{cloud_of(url).batch}/.default"


def management_endpoint(url: str, audience: bool = False) -> str:
    """Where Azure Resource Manager is for an endpoint of Batch, and for whom its tokens are; the emulator has both."""
    if is_loopback(url) and not audience:
        return url
    return cloud_of(url).management


def login(url: str) -> "Login":
    """The credential for the endpoint; nothing is asked yet."""
    from azure.identity import DefaultAzureCredential

    authority = authority_of(url)
    return Login(DefaultAzureCredential(authority=authority) if authority else DefaultAzureCredential())


class Login:
    """A credential that waits where it can't ask for a token, since a connection fails."""

    def __init__(self, credential: Any, service: retry.Service | None = None) -> None:
        self.credential = credential
        self._service = service or retry.service("Entra ID")

    def get_token(self, *scopes: str, **options: Any) -> "AccessToken":
        """Raises ClientAuthenticationError, and nothing else, when there is none to be had."""
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        attempts = self._service.attempts()
        while True:
            try:
                token: AccessToken = self.credential.get_token(*scopes, **options)
            except AzureError as e:
                # Before, most kinds of credentials fail because they aren't there, and some of these say so late.
                of = retry.of_login if self._service.has_answered else retry.of_error
                if attempts.again(of(e)):
                    continue
                if isinstance(e, ClientAuthenticationError):
                    raise
                raise ClientAuthenticationError(message=str(e)) from None
            attempts.over()
            return token
