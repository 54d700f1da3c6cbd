"""Bearer tokens of Entra ID for the Batch service.

https://learn.microsoft.com/azure/batch/batch-aad-auth
"""

from datetime import datetime

from ..errors import BatchError
from ..identity import directory
from ..identity.issuer import Issuer, TokenError


class Tokens:
    """Lets in who has a token for the Batch service: any application and any managed identity of the tenant, as
    if each had been given the role Azure Batch Data Contributor."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    def check(self, token: str, now: datetime) -> None:
        """A BatchError, status 401, that says what is wrong with the token, but does not repeat it."""
        try:
            self._issuer.verify(token, (directory.BATCH,), now)
        except TokenError as error:
            raise BatchError(
                "AuthenticationFailed", [("AuthenticationErrorDetail", error.detail)], status=401
            ) from None
