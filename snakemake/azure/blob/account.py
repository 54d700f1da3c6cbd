"""The account that blobs live in, and where its credentials come from.

A credential is one of three: the account key, a SAS (shared access signature) or Entra ID
(`DefaultAzureCredential`, which covers `az login`, a service principal in AZURE_CLIENT_ID, AZURE_TENANT_ID
and AZURE_CLIENT_SECRET, and a managed identity). `BlobAccount.resolve` takes the first of these that says
which account is meant:

1. the settings `account_url` and `account_key`, or `connection_string` (`--storage-azblob-...`)
2. AZ_BLOB_ACCOUNT_URL, which may carry a SAS in its query
3. AZ_BLOB_CONNECTION_STRING, then AZURE_STORAGE_CONNECTION_STRING

A URL's credential is its own SAS, else (in a task that uses several containers) a SAS for each of them in
AZ_BLOB_CONTAINER_SAS, else the setting `account_key`, else AZ_BLOB_ACCOUNT_KEY, else AZ_BLOB_CREDENTIAL (a key or a
SAS; the name that Snakemake 7 used), else Entra ID.

Keys and SAS travel over https, or stay on this machine; the one exception is the published account of Azurite, whose
key is no secret, on another host, as in a network of containers.
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.wire import is_loopback

# Azurite's published account; https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
AZURITE_PORT = 10000
AZURITE_URL = f"http://127.0.0.1:{AZURITE_PORT}/{AZURITE_ACCOUNT}"

ACCOUNT_URL = "AZ_BLOB_ACCOUNT_URL"
ACCOUNT_KEY = "AZ_BLOB_ACCOUNT_KEY"
CREDENTIAL = "AZ_BLOB_CREDENTIAL"
# JSON, {URL: {CONTAINER: SAS}}: what `snakemake.azure.blob.node_access` gives to tasks that use several containers.
CONTAINER_SAS = "AZ_BLOB_CONTAINER_SAS"
CONNECTION_STRINGS = ("AZ_BLOB_CONNECTION_STRING", "AZURE_STORAGE_CONNECTION_STRING")

# Snakemake's own name for the provider's setting `account_url`: the URL, or a list of `TAG::URL`.
TAGGED_URLS = "SNAKEMAKE_STORAGE_AZBLOB_ACCOUNT_URL"

# Every variable that a credential may sit in, Snakemake's own names for the provider's settings included. A
# task gets what `snakemake.azure.blob.node_access.NodeAccess` gives, and none of these otherwise.
NOT_FOR_NODES = frozenset(
    {ACCOUNT_URL, ACCOUNT_KEY, CREDENTIAL, CONTAINER_SAS, *CONNECTION_STRINGS}
    | {f"SNAKEMAKE_STORAGE_AZBLOB_{name}" for name in ("ACCOUNT_URL", "ACCOUNT_KEY", "CONNECTION_STRING")}
)

SET_URL = f"set {ACCOUNT_URL} (or --storage-azblob-account-url)"
ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")


class BlobAccountError(WorkflowError):
    """The storage account or its credential is missing or malformed; one sentence that names what to set."""


@dataclass(frozen=True)
class BlobAccount:
    """A storage account and the credential for it; with no `key`, `sas` or `container_sas`, that is Entra ID.

    `url` is the endpoint without a SAS and without a trailing slash, `source` the setting or variable that
    named it, `container_sas` the SAS of each container that may be used.
    """

    url: str
    name: str
    key: str | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)
    source: str = ACCOUNT_URL
    container_sas: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def resolve(
        cls,
        account_url: str | None = None,
        account_key: str | None = None,
        connection_string: str | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> "BlobAccount":
        """The account that settings and environment name, in the order that the module's docstring gives.

        Raises BlobAccountError. Nothing is sent anywhere: a wrong key shows with the first request.
        """
        if account_url and connection_string:
            raise BlobAccountError(
                "Both --storage-azblob-account-url and --storage-azblob-connection-string are set; "
                "give one of them."
            )
        if connection_string:
            return _from_connection_string(connection_string, "--storage-azblob-connection-string")
        if account_url:
            return _from_url(account_url, account_key, "--storage-azblob-account-url", environ)
        if url := environ.get(ACCOUNT_URL):
            return _from_url(url, account_key, ACCOUNT_URL, environ)
        for variable in CONNECTION_STRINGS:
            if text := environ.get(variable):
                return _from_connection_string(text, variable)
        raise BlobAccountError(
            f"No storage account is given; {SET_URL} to https://ACCOUNT.blob.core.windows.net, with a SAS "
            f"in its query or with {ACCOUNT_KEY}, or log in with `az login`."
        )

    @classmethod
    def azurite(cls, port: int = AZURITE_PORT) -> "BlobAccount":
        """The published account of an Azurite on this machine."""
        url = f"http://127.0.0.1:{port}/{AZURITE_ACCOUNT}"
        return cls(url=url, name=AZURITE_ACCOUNT, key=AZURITE_KEY, source="the emulator's default")

    @property
    def kind(self) -> str:
        """`key`, `sas` or `token`."""
        return "key" if self.key else "sas" if self.sas or self.container_sas else "token"

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.url)

    def sas_for(self, container: str) -> str | None:
        """The SAS for requests about this container; None where another credential is used.

        Raises BlobAccountError where there is a SAS for each of some containers, and this is none of them.
        """
        if self.sas or not self.container_sas:
            return self.sas
        if sas := self.container_sas.get(container):
            return sas
        raise BlobAccountError(
            f"This task has no access to the container {container} of the storage account {self.name}, since the "
            "workflow did not name it when the task was submitted: name it in an input or output of the rule."
        )

    @property
    def sas_expiry(self) -> datetime | None:
        """When the SAS ends (its `se`), or None when there is no SAS or a stored access policy decides."""
        values = parse_qs(self.sas or "").get("se")
        if not values:
            return None
        try:
            end = datetime.fromisoformat(values[0])
        except ValueError:
            return None
        return end if end.tzinfo else end.replace(tzinfo=UTC)

    def expiry_warning(self, now: datetime, needed: timedelta = timedelta(days=1)) -> str | None:
        """A sentence when the user's SAS ends before `now + needed`; tasks that run longer lose their storage."""
        end = self.sas_expiry
        if end is None or end >= now + needed:
            return None
        state = "expired" if end <= now else "expires"
        return (
            f"The SAS in {self.source} {state} at {end:%Y-%m-%d %H:%M} UTC; tasks that run past that cannot "
            "read or write their files, so create one that lasts as long as the workflow."
        )


def _from_url(text: str, key: str | None, source: str, environ: Mapping[str, str]) -> BlobAccount:
    url, name, sas = parse_account_url(text, source)
    if sas:
        return BlobAccount(url=url, name=name, sas=sas, source=source)
    if containers := _container_sas(url, environ):
        return BlobAccount(url=url, name=name, container_sas=containers, source=source)
    key_source = "--storage-azblob-account-key"
    if not key and (key := environ.get(ACCOUNT_KEY)):
        key_source = ACCOUNT_KEY
    if not key and (credential := environ.get(CREDENTIAL)):
        if "sig=" in credential:
            return BlobAccount(
                url=url, name=name, sas=_checked_sas(credential, CREDENTIAL), source=CREDENTIAL
            )
        key, key_source = credential, CREDENTIAL
    if key:
        return BlobAccount(url=url, name=name, key=_checked_key(key, key_source), source=source)
    if not url.startswith("https:"):
        raise BlobAccountError(
            f"{source} is {url}, which is not https and therefore takes no Entra ID login; set "
            f"{ACCOUNT_KEY}, or add a SAS to the URL."
        )
    return BlobAccount(url=url, name=name, source=source)


def _container_sas(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What AZ_BLOB_CONTAINER_SAS has for the account."""
    text = environ.get(CONTAINER_SAS)
    if not text:
        return {}
    try:
        found = json.loads(text).get(url, {})
        return {str(container): _checked_sas(sas, CONTAINER_SAS) for container, sas in found.items()}
    except (ValueError, AttributeError):
        raise BlobAccountError(
            f"{CONTAINER_SAS} is not JSON of the form {{URL: {{CONTAINER: SAS}}}}; unset it: it is for tasks, which "
            "get it from the main process."
        ) from None


def _check_transport(url: str, name: str, source: str) -> None:
    """Refuses to send a credential over a network in clear."""
    if url.startswith("http:") and not is_loopback(url) and name != AZURITE_ACCOUNT:
        raise BlobAccountError(
            f"{source} is {url}, which must begin with https://: over http the credentials and data of this run and of "
            "its tasks could be read on the way."
        )


def parse_account_url(text: str, source: str) -> tuple[str, str, str | None]:
    """(endpoint, account name, SAS or None) of `https://ACCOUNT.blob.SUFFIX[/CONTAINER][?SAS]`, the form of every
    Azure cloud, or of `http://HOST:PORT/ACCOUNT[?SAS]`, the form of Azurite.

    With a SAS, any other domain is a custom one of an account. A container in the first form (as the portal
    writes a container's SAS URL) is left out of the endpoint.
    """
    example = "https://ACCOUNT.blob.core.windows.net"
    try:
        parts = urlsplit(text.strip())
        host, netloc = parts.hostname, parts.netloc
        parts.port  # noqa: B018  # raises on a malformed port
    except ValueError:
        host, netloc = None, ""
    if not host or parts.scheme not in ("http", "https") or "@" in netloc:
        raise BlobAccountError(f"{source} is not a URL such as {example}; correct it.")
    label, dot, rest = host.partition(".")
    segments = [s for s in parts.path.split("/") if s]
    host_style = bool(dot) and (rest.startswith("blob.") or ".blob." in f".{rest}")
    if host_style:
        name, path = label.removesuffix("-secondary"), ""
        if not ACCOUNT_NAME.fullmatch(name) or len(segments) > 1:
            raise BlobAccountError(
                f"{source} has no valid account name at its start (3 to 24 lower-case letters and digits) "
                f"or goes on after it; write it as {example}."
            )
    elif len(segments) == 1:
        name, path = segments[0], f"/{segments[0]}"
    elif not segments and parts.query and _is_domain(host):
        name, path = host, ""  # a custom domain says nothing of the account, and a SAS does not need its name
    else:
        raise BlobAccountError(
            f"{source} does not say which account is meant; write {example}, or http://HOST:PORT/ACCOUNT "
            "for Azurite, or put a custom domain into a connection string with AccountName."
        )
    url = f"{parts.scheme}://{netloc}{path}"
    _check_transport(url, name, source)
    sas = _checked_sas(parts.query, source) if parts.query else None
    return url, name, sas


def _is_domain(host: str) -> bool:
    """Whether the host is a name with a dot, and no address."""
    return "." in host and not host.rpartition(".")[2].isdigit()


def _from_connection_string(text: str, source: str) -> BlobAccount:
    """https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string"""
    pairs = [item.partition("=") for item in text.strip().strip(";").split(";")]
    values = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if values.get("usedevelopmentstorage", "").lower() == "true":
        # Where another host is named, as in a network of containers, the port is still the usual one.
        host = re.match(r"https?://[\w.-]+(?=[:/]|$)", values.get("developmentstorageproxyuri", AZURITE_URL))
        if not host:
            raise BlobAccountError(
                f"DevelopmentStorageProxyUri in {source} is not a URL such as http://HOST; correct it."
            )
        url = f"{host[0]}:{AZURITE_PORT}/{AZURITE_ACCOUNT}"
        return BlobAccount(url=url, name=AZURITE_ACCOUNT, key=AZURITE_KEY, source=source)
    name = values.get("accountname", "")
    endpoint = values.get("blobendpoint")
    if not endpoint:
        if not name:
            raise BlobAccountError(
                f"{source} is not a connection string with AccountName or BlobEndpoint; copy it from the "
                "storage account's page `Access keys`."
            )
        suffix = values.get("endpointsuffix", "core.windows.net")
        endpoint = f"{values.get('defaultendpointsprotocol', 'https')}://{name}.blob.{suffix}"
    key, sas = values.get("accountkey"), values.get("sharedaccesssignature")
    if key and name:
        # With the name given, the endpoint may be any, a custom domain included.
        url = endpoint.partition("?")[0].rstrip("/")
        _check_transport(url, name, source)
        return BlobAccount(url=url, name=name, key=_checked_key(key, source), source=source)
    if sas:
        endpoint = f"{endpoint.partition('?')[0]}?{_checked_sas(sas, source)}"
    url, found, url_sas = parse_account_url(endpoint, source)
    if url_sas:
        return BlobAccount(url=url, name=name or found, sas=url_sas, source=source)
    raise BlobAccountError(
        f"{source} has neither AccountName with AccountKey nor SharedAccessSignature; copy it whole from "
        "the storage account's page `Access keys`."
    )


def _checked_key(key: str, source: str) -> str:
    key = key.strip()
    try:
        decoded = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise BlobAccountError(
            f"The account key in {source} is not base64; copy it whole from the storage account's page "
            "`Access keys`."
        )
    return key


def _checked_sas(text: str, source: str) -> str:
    sas = text.strip().lstrip("?").rstrip("&")
    if not parse_qs(sas).get("sig"):
        raise BlobAccountError(
            f"What follows `?` in {source} is not a SAS, since it has no `sig=`; quote the URL when you set "
            "it in a shell, or the shell cuts it at `&`."
        )
    return sas
