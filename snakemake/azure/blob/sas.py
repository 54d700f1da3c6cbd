"""Signs a SAS for a container, for the version of the API that requests speak.

The SDK signs for its own newest version, which a cloud or Azurite may not have yet, and takes no other. The texts that
are signed are those of versions 2020-12-06 and later:
https://learn.microsoft.com/rest/api/storageservices/create-service-sas and
https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas (until 2025-07-05).
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from snakemake.azure.blob.service import API_VERSION

READ = "rl"
"""Permissions for a container that is only read: read, list. In the order that the service asks for."""

WRITE = "rcwdl"
"""And for one that is written to: read, create, write (touch, too), delete, list."""


@dataclass(frozen=True)
class ContainerSas:
    """What a SAS allows: `permissions` in one container, over `protocol`, between two times; or what the container's
    stored access policy of the name `policy` says, in place of permissions and times.
    """

    account: str
    container: str
    protocol: str
    permissions: str = ""
    start: datetime | None = None
    end: datetime | None = None
    policy: str = ""

    def by_key(self, key: str) -> str:
        """The SAS, signed with the account's key (base64)."""
        return self._signed(key, {"si": self.policy}, (self.policy,))

    def by_delegation(self, key: Any) -> str:
        """The SAS, signed with an `azure.storage.blob.UserDelegationKey`; a stored access policy is not possible."""
        delegated = {
            "skoid": key.signed_oid,
            "sktid": key.signed_tid,
            "skt": key.signed_start,
            "ske": key.signed_expiry,
            "sks": key.signed_service,
            "skv": key.signed_version,
        }
        # Three empty lines for the object ids and the correlation id of a hierarchical namespace.
        return self._signed(key.value, delegated, (*delegated.values(), "", "", ""))

    def _signed(self, key: str, more: dict[str, str], between: tuple[str, ...]) -> str:
        start, end = _time(self.start), _time(self.end)
        lines = (
            self.permissions,
            start,
            end,
            f"/blob/{self.account}/{self.container}",
            *between,
            "",  # of addresses
            self.protocol,
            API_VERSION,
            "c",
            *("",) * 7,  # snapshot, encryption scope, and five headers of answers
        )
        digest = hmac.new(base64.b64decode(key), "\n".join(lines).encode(), hashlib.sha256).digest()
        fields = {
            "sv": API_VERSION,
            "sr": "c",
            "spr": self.protocol,
            "sp": self.permissions,
            "st": start,
            "se": end,
            **more,
            "sig": base64.b64encode(digest).decode(),
        }
        return "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items() if value)


def _time(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""
