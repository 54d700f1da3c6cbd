"""The SDK's client of an account: connections, time-outs, and how long a request is tried again.

What may pass is waited out: throttling (503 ServerBusy), other answers of 500 and above, time-outs, and
connections that break. Pauses grow and are drawn at random (full jitter), so that many tasks that were
refused together do not come back together; see
https://learn.microsoft.com/azure/storage/blobs/storage-performance-checklist#timeout-and-server-busy-errors.
The end is a time, not a count. A refusal (4xx) is final at once. Importing this does not load the SDK.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from snakemake.azure.blob.account import ACCOUNT_KEY, ACCOUNT_URL, BlobAccount, BlobAccountError
from snakemake.azure.blob.files import CHUNK, pause
from snakemake.azure.login import login

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

CONNECTING = 10.0  # seconds until a connection is there; for sending see snakemake.azure.blob.session
ANSWERING = 60.0  # seconds without a byte of an answer
CONNECTIONS = 64  # the transport keeps as many open; more than all transfers at once use
# Bytes of an answer that are read at a time: a whole chunk, so that it is in memory once. The transport's own
# 4,096 take twice the CPU.
READ = CHUNK

# The SDK's newest version of the API is often younger than the newest Azurite, which then refuses every
# request. All that is used here is in this one.
# https://learn.microsoft.com/rest/api/storageservices/versioning-for-the-azure-storage-services
API_VERSION = "2023-11-03"

# Seconds from the first failure of a request to the end of its retries. Partitions under load are moved to
# other servers within minutes.
PATIENCE = 300.0
# The same where nothing accepts connections, or the host has no address: that is rather a mistake. An
# emulator runs here or it doesn't.
REACH = 20.0
REACH_HERE = 1.0
FIRST_PAUSE = 0.5  # the most that the first pause can be; it doubles from one to the next
LONGEST_PAUSE = 30.0
UNLIMITED = 1_000_000


def pause_before(count: int, draw: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait before trying again after `count` failures, 1 at least."""
    return draw(0.0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (count - 1)))


def connect(account: BlobAccount, patience: float | None = None) -> "BlobServiceClient":
    """A client with bounded buffers, time-outs and retries; nothing is sent yet.

    `patience` is in seconds, None for PATIENCE.
    """
    from azure.core.pipeline.transport import RequestsTransport
    from azure.storage.blob import BlobServiceClient

    from snakemake.azure.blob.session import Session

    transport = RequestsTransport(
        session=Session(account.url, CONNECTIONS),
        connection_timeout=CONNECTING,
        read_timeout=ANSWERING,
        connection_verify=_authorities(),
        connection_data_block_size=READ,
    )
    return BlobServiceClient(
        account.url,
        credential=_credential(account),
        api_version=API_VERSION,
        retry_policy=_retry_policy(
            PATIENCE if patience is None else patience, REACH_HERE if account.is_loopback else REACH
        ),
        transport=transport,
        raw_request_hook=_sign_by_container(account),
        max_single_put_size=CHUNK,
        max_single_get_size=CHUNK,
        max_chunk_get_size=CHUNK,
    )


def _authorities() -> str | bool:
    """The file or folder of certificates that https goes by, True for those that `requests` brings along."""
    for variable in BUNDLES:
        if path := os.environ.get(variable):
            if not Path(path).exists():
                raise BlobAccountError(
                    f"{variable} is {path}, which is not there; correct it, or unset it to trust the usual authorities."
                )
            return path
    return True


def _retry_policy(patience: float, reach: float) -> Any:
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError
    from azure.storage.blob import ExponentialRetry

    class WaitOut(ExponentialRetry):
        """The SDK's own policy decides what is worth a retry; this one how long to pause, and when to give up."""

        def get_backoff_time(self, settings: dict[str, Any]) -> float:
            return pause_before(settings["count"])

        def increment(
            self, settings: dict[str, Any], request: Any, response: Any = None, error: Any = None
        ) -> bool:
            spent = time.monotonic() - settings.setdefault("since", time.monotonic())
            if isinstance(error, ServiceRequestError):  # nothing was sent
                enough = spent >= min(reach, patience)
            elif error is None or isinstance(error, ServiceResponseError):
                enough = spent >= patience
            else:  # whatever this is, it hardly passes
                enough = settings["count"] >= 2
            return not enough and super().increment(settings, request, response, error)

        def sleep(self, settings: dict[str, Any], transport: Any) -> None:
            pause(self.get_backoff_time(settings))

    counts = ("retry_total", "retry_connect", "retry_read", "retry_status")
    unlimited: dict[str, Any] = dict.fromkeys(counts, UNLIMITED)
    return WaitOut(**unlimited)


def _credential(account: BlobAccount) -> Any:
    if account.key:
        return {"account_name": account.name, "account_key": account.key}
    if account.container_sas:
        return None  # see _sign_by_container
    if account.sas:
        from azure.core.credentials import AzureSasCredential

        return AzureSasCredential(account.sas)
    return _Login(login(account.url), account.name)


def _sign_by_container(account: BlobAccount) -> Callable[[Any], None] | None:
    """Puts the SAS of the container that a request is about into its URL, for an account with one for each; the SDK
    knows one credential for a client. It is called before each try of a request.
    """
    if not account.container_sas:
        return None
    root = f"{urlsplit(account.url).path}/"

    def sign(request: Any) -> None:
        http = request.http_request
        parts = urlsplit(http.url)
        if "sig=" not in parts.query:
            sas = account.sas_for(parts.path.removeprefix(root).partition("/")[0])
            http.url = f"{http.url}{'&' if parts.query else '?'}{sas}"

    return sign


class _Login:
    """A credential whose failure ends the request at once; the SDK would try again for a minute."""

    def __init__(self, credential: Any, account_name: str) -> None:
        self._credential = credential
        self._account_name = account_name

    def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.core.exceptions import ClientAuthenticationError

        try:
            return self._credential.get_token(*scopes, **options)
        except ClientAuthenticationError:
            raise BlobAccountError(
                f"No Entra ID login was found for the storage account {self._account_name}; run `az login`, set "
                f"{ACCOUNT_KEY}, or put a SAS into {ACCOUNT_URL}."
            ) from None
