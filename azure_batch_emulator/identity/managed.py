"""User-assigned managed identities, by their resource ids.

Nobody has to make one: any well-formed id names an identity, whose client and principal ids follow from it.
https://learn.microsoft.com/azure/batch/managed-identity-pools
"""

import re
import uuid

from .directory import TENANT

_ID = re.compile(
    r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.managedidentity/userassignedidentities/[\w-]{3,128}",
    re.IGNORECASE,
)
_SPACE = uuid.UUID(TENANT)


def is_identity(resource_id: str) -> bool:
    """Whether a resource id has the form of a user-assigned identity's."""
    return bool(_ID.fullmatch(resource_id))


def same(one: str, other: str) -> bool:
    """Resource ids mean the same thing in upper and lower case."""
    return one.lower() == other.lower()


def client_id(resource_id: str) -> str:
    return str(uuid.uuid5(_SPACE, f"client {resource_id.lower()}"))


def principal_id(resource_id: str) -> str:
    return str(uuid.uuid5(_SPACE, f"principal {resource_id.lower()}"))
