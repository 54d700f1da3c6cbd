"""Bearer tokens of Entra ID for the Batch service.

https://learn.microsoft.com/azure/batch/batch-aad-auth
"""

from datetime import datetime

from ...identity import directory
from ...identity.access import JOB_CLAIM, Access
from ...identity.issuer import Issuer, TokenError
from ...identity.roles import Roles
from ...protocol.errors import BatchError


class Tokens:
    """Lets in who has a token for the Batch service: any application and any managed identity of the tenant, each
    with its role, and tasks with a token for their job."""

    def __init__(self, issuer: Issuer, roles: Roles) -> None:
        self._issuer, self._roles = issuer, roles

    def check(self, token: str, now: datetime) -> Access:
        """What the token opens; else a BatchError, status 401, that says why, without the token."""
        try:
            claims = self._issuer.verify(token, (directory.BATCH,), now)
        except TokenError as error:
            raise BatchError(
                "AuthenticationFailed", [("AuthenticationErrorDetail", error.detail)], status=401
            ) from None
        if job := claims.get(JOB_CLAIM):
            return Access(job)
        return Access(role=self._roles.of(str(claims.get("oid", ""))))
