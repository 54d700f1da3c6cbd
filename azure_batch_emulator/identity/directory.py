"""The emulator's tenant: what is registered in it, and for what it gives tokens.

All of it is published, as the account's key is: it opens nothing but a service on loopback.
"""

import re

TENANT = "0d3a6b1e-7c52-4f0e-9a41-5be0c8d7f213"
ADFS = "adfs"
CLIENT_ID = "6f1c2ab4-93de-4b7a-8c05-2e1d7f9a6b30"
CLIENT_SECRET = "azure-batch-emulator-published-development-secret"
# The object id of the application's service principal.
PRINCIPAL_ID = "b7f5d9c2-1e68-4a3f-b0d4-6c9e8f2a7d15"
SUBSCRIPTION = "5a8e0f7d-1b2c-4d3e-8f90-a1b2c3d4e5f6"

BATCH = "https://batch.core.windows.net/"
MANAGEMENT = (
    "https://management.azure.com/",
    "https://management.azure.com",
    "https://management.core.windows.net/",
    "https://management.core.windows.net",
)
_RESOURCES = re.compile(
    r"https://(batch\.core\.windows\.net|management\.azure\.com|management\.core\.windows\.net"
    r"|storage\.azure\.com|[a-z0-9]{3,24}\.blob\.core\.windows\.net|containerregistry\.azure\.net"
    r"|vault\.azure\.net|graph\.microsoft\.com)/?",
    re.IGNORECASE,
)


def knows_resource(resource: str) -> bool:
    """Whether the tenant has a service under this name, such as `https://storage.azure.com`."""
    return bool(_RESOURCES.fullmatch(resource))


def is_tenant(name: str) -> bool:
    """The tenant goes by its id, and as `adfs`: clients make no inquiries with Microsoft about an authority of
    that name, also where their settings can't say so (AZURE_TENANT_ID of azure-identity)."""
    return name.lower() in (TENANT, ADFS)
