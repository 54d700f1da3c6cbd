"""Entra ID logins: `DefaultAzureCredential`, asked of the cloud that the endpoint belongs to.

It takes a service principal or the client id of a managed identity from AZURE_CLIENT_ID, and whatever else
https://learn.microsoft.com/python/api/azure-identity/azure.identity.defaultazurecredential lists.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from azure.identity import DefaultAzureCredential

AUTHORITY_HOST = "AZURE_AUTHORITY_HOST"

# Ends of the names of hosts, and who gives tokens there;
# https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud
AUTHORITIES = {
    ".chinacloudapi.cn": "login.chinacloudapi.cn",
    ".usgovcloudapi.net": "login.microsoftonline.us",
}


def authority_of(url: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The host that gives tokens for the endpoint; None for AZURE_AUTHORITY_HOST, or else Azure's public cloud."""
    if environ.get(AUTHORITY_HOST):
        return None
    host = urlsplit(url).hostname or ""
    return next((authority for end, authority in AUTHORITIES.items() if host.endswith(end)), None)


def login(url: str) -> "DefaultAzureCredential":
    """The credential for the endpoint; nothing is asked yet."""
    from azure.identity import DefaultAzureCredential

    authority = authority_of(url)
    return DefaultAzureCredential(authority=authority) if authority else DefaultAzureCredential()
