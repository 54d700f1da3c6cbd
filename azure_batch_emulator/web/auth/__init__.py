"""Who may send requests: holders of the account's key, and of tokens.

https://learn.microsoft.com/rest/api/batchservice/authenticate-requests-to-the-azure-batch-service
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from ...identity.access import WITH_KEY, Access
from ...protocol.errors import BatchError
from .shared_key import SharedKey
from .tokens import Tokens

__all__ = ["Access", "Authenticator", "SharedKey", "Tokens"]


class Authenticator:
    """The account's door: SharedKey signatures and bearer tokens."""

    def __init__(self, shared_key: SharedKey, tokens: Tokens) -> None:
        self._shared_key, self._tokens = shared_key, tokens

    def check(
        self,
        method: str,
        raw_path: str,
        query: Iterable[tuple[str, str]],
        headers: Mapping[str, str],
        now: datetime,
        own: bool,
    ) -> Access:
        """What the request's credential opens; a BatchError if it has no good one. `now` is the true time, whatever
        the service's clock says; `own` says that the request is by the user who runs the emulator."""
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        if not scheme:
            detail = "There is no Authorization header."
            raise BatchError("AuthenticationFailed", [("AuthenticationErrorDetail", detail)], status=401)
        if scheme.lower() == "bearer":
            return self._tokens.check(credential.strip(), now)
        self._shared_key.check(method, raw_path, query, headers, now, own)
        return WITH_KEY
