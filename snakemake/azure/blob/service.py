"""The SDK's client of an account: connections, time-outs, and how long a request is tried again.

What may pass is waited out (`snakemake.azure.retry`): throttling (503 ServerBusy), other answers of 500 and above,
time-outs, and connections that break. A refusal (4xx) is final at once. Importing this does not load the SDK.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from snakemake.azure import retry
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

UNLIMITED = 1_000_000  # for the SDK's own counts of attempts, which are not to end them


def service_of(account: BlobAccount, patience: float | retry.Patience | None = None) -> retry.Service:
    """What is known of the account's endpoint: the process's own, or a new one that is waited for with this patience
    (a number is in seconds)."""
    name = f"Blob Storage at {account.url}"
    if patience is None:
        return retry.service(name, account.is_loopback)
    own = patience if isinstance(patience, retry.Patience) else retry.Patience(patience)
    return retry.Service(name, account.is_loopback, own)


def connect(
    account: BlobAccount, patience: float | retry.Patience | retry.Service | None = None
) -> "BlobServiceClient":
    """A client with bounded buffers, time-outs and retries; nothing is sent yet. `patience` is what `service_of` takes,
    or what it gave."""
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
            patience if isinstance(patience, retry.Service) else service_of(account, patience)
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


def _retry_policy(service: retry.Service) -> Any:
    from azure.core.exceptions import AzureError, ClientAuthenticationError
    from azure.storage.blob import ExponentialRetry

    class WaitOut(ExponentialRetry):
        """The SDK's own rewinds a request's body; what is worth another attempt, and when, is decided here."""

        def send(self, request: Any) -> Any:
            settings, attempts = self.configure_retries(request), service.attempts(pause)
            answer: Any
            while True:
                trouble, answer, error = None, None, None
                try:
                    response = self.next.send(request)
                    answer = response.http_response
                    code = answer.headers.get("x-ms-error-code") or ""
                    trouble = retry.of_answer(answer.status_code, answer.headers, code)
                except ClientAuthenticationError:
                    raise
                except AzureError as failure:
                    error, trouble = failure, retry.of_error(failure)
                if trouble is None and error is None:
                    attempts.over()
                elif self.increment(settings, request.http_request, answer, error) and attempts.again(
                    trouble
                ):
                    continue
                if error is not None:
                    raise error
                answer.location_mode = settings["mode"]
                return response

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
