"""What Azure Blob Storage refuses, put into one sentence each, with the way out and without any secret.

The texts of the SDK's exceptions can hold request URLs with a SAS, so they are neither shown nor chained.
Codes: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and
https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.secrets import without_secrets


class Account(Protocol):
    """What sentences say of a `snakemake.azure.blob.account.BlobAccount`."""

    @property
    def url(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def is_loopback(self) -> bool: ...
    @property
    def sas_expiry(self) -> datetime | None: ...


class BlobError(WorkflowError):
    """A request to Blob Storage failed; `status` and `code` are the service's, None when it gave no answer."""

    def __init__(self, sentence: str, status: int | None = None, code: str | None = None) -> None:
        super().__init__(without_secrets(sentence))
        self.status = status
        self.code = code

    @property
    def is_missing(self) -> bool:
        return self.status == 404


@contextmanager
def explained(account: Account, what: str) -> Iterator[None]:
    """Turns the SDK's exceptions into BlobError; `what` is the query, or the container, that it was about."""
    from azure.core.exceptions import AzureError

    try:
        yield
    except AzureError as error:
        raise explain(error, account, what) from None


def explain(error: Any, account: Account, what: str) -> BlobError:
    from azure.core.exceptions import HttpResponseError

    status = getattr(error, "status_code", None)
    if status is None or not isinstance(error, HttpResponseError):
        return BlobError(_unreachable(error, account, what))
    code = error_code(error)
    sentence = _sentence(code, account)
    if sentence is None:
        sentence = f"the storage account {account.name} answered {status}{f' {code}' if code else ''}."
    return BlobError(f"{what}: {sentence}", status, code)


def error_code(error: Any) -> str:
    """The service's code of an HttpResponseError, or ""."""
    code = getattr(error, "error_code", None)
    headers = error.response.headers if error.response is not None else {}
    return str(getattr(code, "value", code) or headers.get("x-ms-error-code") or "")


def _unreachable(error: Any, account: Account, what: str) -> str:
    text = str(error)
    if "connect to proxy" in text:
        return (
            f"{what}: the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names lets nothing through to {account.url}; "
            "correct the variable, or add the host to NO_PROXY."
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            f"{what}: the certificate of {account.url} is not from an authority that is trusted here; name the file of "
            "that authority in REQUESTS_CA_BUNDLE."
        )
    if "Connection refused" in text:
        hint = (
            "is the emulator running?" if account.is_loopback else "does a firewall or proxy stand between?"
        )
        return f"{what}: nothing accepts connections at {account.url} (from {account.source}); {hint}"
    if any(
        t in text for t in ("Name or service not known", "Failed to resolve", "getaddrinfo", "nodename nor")
    ):
        return (
            f"{what}: there is no host for {account.url}; check the account's name in {account.source}, and "
            "this machine's name service."
        )
    if "timed out" in text or "Timeout" in text:
        return (
            f"{what}: {account.url} did not answer in time, after retries; check the network and try again."
        )
    if any(t in text for t in ("Connection broken", "IncompleteRead", "bytes of")):
        return f"{what}: the connection to {account.url} breaks again and again; check the network, and try again."
    return f"{what}: no answer from {account.url} ({type(error).__name__}, after retries); check the network."


def _expired(account: Account) -> str | None:
    end = account.sas_expiry
    if end is None or end > datetime.now(UTC):
        return None
    return (
        f"the SAS in {account.source} expired at {end:%Y-%m-%d %H:%M} UTC; create a new one and set it there."
    )


def _authentication(account: Account) -> str:
    if account.kind == "sas":
        return _expired(account) or (
            f"the storage account {account.name} does not accept the SAS in {account.source}: it is cut, not valid "
            "yet, for another account, or signed with a key that was replaced; create a new one and set it there."
        )
    if account.kind == "key":
        return (
            f"the account key is not one of the storage account {account.name}'s; set AZ_BLOB_ACCOUNT_KEY (or the "
            "connection string) to one from its page `Access keys`."
        )
    return f"the storage account {account.name} does not accept this Entra ID login; run `az login` again."


def _refused(account: Account) -> str:
    """For AuthorizationFailure, which Azure says for a firewall as well as for a SAS that is too narrow, and Azurite
    for each credential that it does not accept.
    """
    firewall = f"or the firewall of the storage account {account.name} keeps this machine out"
    if account.kind == "sas":
        return _expired(account) or (
            f"the SAS in {account.source} was refused: it is for another account or container, it lacks a permission "
            f"(it needs sp=rwdlc, and ss=b with srt=co if it is for the account), {firewall}; create a new one."
        )
    if account.kind == "key":
        return (
            f"the account key was refused: it is not one of the account's, {firewall}; set AZ_BLOB_ACCOUNT_KEY (or "
            "the connection string) to one from its page `Access keys`."
        )
    return f"the Entra ID login was refused: it lacks the role `Storage Blob Data Contributor`, {firewall}."


def _no_permission(account: Account) -> str:
    if account.kind == "token":
        return (
            f"this Entra ID login lacks the role `Storage Blob Data Contributor` on the storage account "
            f"{account.name} or the container; assign it, which takes some minutes to work."
        )
    return (
        f"the SAS in {account.source} does not permit this; it needs read, write, delete, list and create "
        "(sp=rwdlc), for the service blob and the resource types container and object (ss=b, srt=co), or "
        "for this container."
    )


def _sentence(code: str, account: Account) -> str | None:
    """The sentence for an error code, or None when the code is not among those with a known way out."""
    if code in ("AuthenticationFailed", "InvalidAuthenticationInfo"):
        return _authentication(account)
    if code == "AuthorizationFailure":
        return _refused(account)
    if code in _NARROW:
        return _no_permission(account)
    template = _SENTENCES.get(code)
    return template and template.format(account=account.name, source=account.source, code=code)


_NARROW = (
    "AuthorizationPermissionMismatch",
    "AuthorizationResourceTypeMismatch",
    "AuthorizationServiceMismatch",
    "InsufficientAccountPermissions",
    "UnauthorizedBlobOverwrite",
)

_NO_CREDENTIAL = (
    "the request had no credential; set AZ_BLOB_ACCOUNT_KEY or put a SAS into AZ_BLOB_ACCOUNT_URL."
)
_BAD_NAME = "Azure refuses the name of the container or blob; correct the query or --default-storage-prefix."
_ARCHIVED = "the blob lies in the archive tier; set its tier to hot or cool and wait until it is there."
_LEASED = (
    "there is a lease on the blob, as protected() takes one: nobody may change it. If it is to be changed, break the "
    "lease: `az storage blob lease break`."
)
_BUSY = "the storage account {account} is too busy ({code}, after retries); start again with fewer --jobs."

_SENTENCES = {
    "BlobNotFound": "there is no such blob in the storage account {account}.",
    "ContainerNotFound": "there is no such container in the storage account {account}; create it, or correct the "
    "query or --default-storage-prefix.",
    "ContainerBeingDeleted": "the container is being deleted; wait about a minute, or use another one.",
    "AuthorizationProtocolMismatch": "the SAS in {source} is for https only; write the URL with https.",
    "AuthorizationSourceIPMismatch": "the SAS in {source} is not valid from this machine's address; create one "
    "without sip=.",
    "KeyBasedAuthenticationNotPermitted": "the storage account {account} refuses account keys and SAS made from "
    "them; log in with `az login` and unset AZ_BLOB_ACCOUNT_KEY, or allow key access in its configuration.",
    "NoAuthenticationInformation": _NO_CREDENTIAL,
    "PublicAccessNotPermitted": _NO_CREDENTIAL,
    "AccountIsDisabled": "the storage account {account} is disabled; see its state in the portal.",
    "InvalidResourceName": _BAD_NAME,
    "OutOfRangeInput": _BAD_NAME,
    "InvalidUri": _BAD_NAME,
    "BlobArchived": _ARCHIVED,
    "BlobBeingRehydrated": _ARCHIVED,
    "BlobImmutableDueToPolicy": "an immutability policy or legal hold protects the blob; use another name or "
    "container.",
    "LeaseIdMissing": _LEASED,
    "LeaseLost": _LEASED,
    "LeaseAlreadyPresent": _LEASED,
    "InvalidBlobType": "there is an append or page blob of that name, which cannot be replaced; remove it.",
    "ServerBusy": _BUSY,
    "OperationTimedOut": _BUSY,
    "InternalError": _BUSY,
    "Md5Mismatch": "what the service got does not have the MD5 of what was sent, several times over; look for what "
    "changes data on its way (a proxy, or bad memory).",
    "InvalidBlockList": "someone else stored the blob during the upload, which makes the service forget what had "
    "arrived; start again, and let only one job store it.",
    "InvalidBlobOrBlock": "another program has begun to upload this blob in blocks and has not come to an end, and the "
    "service takes no others beside them; let it end, or store an empty blob of that name, and start again.",
    "BlobUsesCustomerSpecifiedEncryption": "it is encrypted with a key that whoever uploaded it keeps to themselves; "
    "upload it again without a customer-provided key.",
    "ConditionNotMet": "the blob was changed by someone else during the transfer; start again.",
}
