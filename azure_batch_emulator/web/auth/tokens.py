"""Bearer tokens of Entra ID for the Batch service.

https://learn.microsoft.com/azure/batch/batch-aad-auth
"""

from datetime import datetime

from ...identity import directory
from ...identity.access import JOB_CLAIM, Access
from ...identity.issuer import Issuer, TokenError
from ...protocol.errors import BatchError


class Tokens:
    """Lets in who has a token for the Batch service: the application and any managed identity of the tenant, as
    if each had been given the role Azure Batch Data Contributor, the application that has Azure Batch Job Submitter,
    and tasks with a token for their job."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    def check(self, token: str, now: datetime) -> Access:
        """What the token opens; else a BatchError, status 401, that says why, without the token."""
        try:
            claims = self._issuer.verify(token, (directory.BATCH,), now)
        except TokenError as error:
            raise BatchError(
                "AuthenticationFailed", [("AuthenticationErrorDetail", error.detail)], status=401
            ) from None
        return Access(claims.get(JOB_CLAIM), only_jobs=claims.get("appid") == directory.SUBMITTER_ID)
