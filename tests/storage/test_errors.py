"""What goes wrong is said in one sentence, at once, and without a secret. Refusals are Azurite's own."""

import asyncio
import logging
import re
import socket
import time
import traceback
from datetime import timedelta

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure import retry
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.errors import BlobError, explain
from snakemake.azure.blob.store import BlobStore
from snakemake_storage_plugin_azblob import StorageProvider, StorageProviderSettings

WRONG_KEY = "d3JvbmcgYnV0IGJhc2U2NA=="


def said(error: BaseException) -> str:
    """The message, after checking that neither it nor the traceback that --verbose shows has a secret in it."""
    shown = str(error) + "".join(traceback.format_exception(error))
    assert not re.search(r"sig=[^*]", shown), shown
    assert WRONG_KEY not in shown
    sentence = str(error)
    assert "\n" not in sentence and sentence.rstrip().endswith((".", "?"))
    return sentence


@pytest.fixture
def box(container):
    container.upload_blob("x", b"1")
    return container.container_name


@pytest.fixture
def refused(azurite, box, tmp_path):
    """Runs each verb on az://box/x with the given credential; the first refusal is returned."""

    def run(verb: str, **credential) -> str:
        store = BlobStore(BlobAccount.resolve(environ={}, **credential))
        (tmp_path / "x").write_text("1")
        verbs = {
            "look": lambda: store.head(box, "x"),
            "list": lambda: list(store.pages(box, "")),
            "read": lambda: store.fetch(box, "x", tmp_path / "copy"),
            "write": lambda: store.upload(box, "x", tmp_path / "x"),
            "touch": lambda: store.touch(box, "x"),
            "remove": lambda: store.remove(box, "x"),
            "create": lambda: store.upload(f"{box}-new", "x", tmp_path / "x"),
        }
        mark = azurite.mark()
        with pytest.raises(BlobError) as error:
            verbs[verb]()
        asked = azurite.requests(mark)
        assert asked and len(asked) == len(set(asked)), "a refusal must not be tried again"
        assert error.value.status in (403, 404)
        sentence = said(error.value)
        assert sentence.startswith(f"az://{box}")
        return sentence

    return run


VERBS = ["look", "list", "read", "write", "touch", "remove"]


@pytest.mark.parametrize("verb", VERBS)
def test_wrong_key(azurite, refused, verb):
    sentence = refused(verb, account_url=azurite.url, account_key=WRONG_KEY)
    assert "AZ_BLOB_ACCOUNT_KEY" in sentence and azurite.account in sentence


@pytest.mark.parametrize("verb", VERBS)
def test_expired_sas(azurite, refused, verb):
    url = azurite.sas_url(expiry=timedelta(hours=-1))
    assert "the SAS in --storage-azblob-account-url expired at" in refused(verb, account_url=url)


def test_sas_of_another_key(azurite, refused):
    url = azurite.sas_url()
    cut = re.sub(r"sig=[^&]*", "sig=YWJj", url)
    assert "the SAS in --storage-azblob-account-url was refused" in refused("read", account_url=cut)


@pytest.mark.parametrize(
    ("permission", "verb"),
    [
        ("wdlc", "read"),
        ("wdlc", "look"),
        ("rdl", "write"),
        ("rlcd", "touch"),
        ("rwlc", "remove"),
        ("rwdc", "list"),
    ],
)
def test_sas_without_the_permission(azurite, refused, permission, verb):
    sentence = refused(verb, account_url=azurite.sas_url(permission=permission))
    assert "does not permit this; it needs read, write, delete, list and create (sp=rwdlc)" in sentence


def test_sas_of_another_container(azurite, refused):
    sentence = refused("read", account_url=azurite.sas_url(container="another"))
    assert "SAS" in sentence and "--storage-azblob-account-url" in sentence


def test_a_container_that_the_sas_may_not_create(azurite, refused, box):
    sentence = refused("create", account_url=azurite.sas_url(resource_types="o"))
    assert "SAS" in sentence


def test_a_missing_container_is_named(azurite, tmp_path):
    store = BlobStore(BlobAccount.resolve(account_url=azurite.sas_url(), environ={}))
    with pytest.raises(BlobError) as error:
        store.fetch("no-such-container", "x", tmp_path / "x")
    assert "no such container in the storage account devstoreaccount1; create it" in said(error.value)


def test_a_container_name_that_azure_refuses(azurite, tmp_path):
    # Queries are checked before; this is what the service says if a name gets through.
    store = BlobStore(BlobAccount.resolve(account_url=azurite.sas_url(), environ={}))
    (tmp_path / "x").write_text("1")
    with pytest.raises(BlobError) as error:
        store.upload("Bad_Name", "x", tmp_path / "x")
    assert "az://Bad_Name/x" in said(error.value)


def test_archived(azurite, container, box, tmp_path, store):
    container.get_blob_client("x").set_standard_blob_tier("Archive")
    with pytest.raises(BlobError) as error:
        store.fetch(box, "x", tmp_path / "x")
    assert "archive tier" in said(error.value)


def test_leased(container, box, tmp_path, store):
    lease = container.get_blob_client("x").acquire_lease()
    (tmp_path / "x").write_text("1")
    with pytest.raises(BlobError) as error:
        store.upload(box, "x", tmp_path / "x")
    assert "lease" in said(error.value)
    lease.release()


@pytest.mark.parametrize("size", [6_000_000, 20_000_000])
def test_a_full_disk(container, box, tmp_path, store, small_disk, size):
    """The smaller one arrives with the first request, the larger one is known to have no room before it does."""
    container.upload_blob("large", bytes(size))
    (small_disk / "x").write_text("before")
    with pytest.raises(BlobError) as error:
        store.fetch(box, "large", small_disk / "x")
    assert re.search(rf"az://{box}/large: the disk of {small_disk} has no room for it", said(error.value))
    assert "--local-storage-prefix" in str(error.value)
    assert [p.read_text() for p in small_disk.iterdir()] == ["before"]


def test_nobody_listens(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, but not listening
        url = f"http://127.0.0.1:{held.getsockname()[1]}/devstoreaccount1?sig=c2VjcmV0"
        store = BlobStore(BlobAccount.resolve(environ={"AZ_BLOB_ACCOUNT_URL": url}))
        start = time.monotonic()
        with pytest.raises(BlobError) as error:
            store.head("box", "x")
    assert time.monotonic() - start < retry.PATIENCE / 10, "it is not waited for as a busy account is"
    assert said(error.value).startswith("az://box/x: nothing accepts connections at http://127.0.0.1:")
    assert "AZ_BLOB_ACCOUNT_URL" in str(error.value) and "emulator" in str(error.value)


class Answer:
    """The part of a response that the SDK's exceptions look at."""

    reason = "Refused"
    headers: dict[str, str] = {}

    def __init__(self, status: int) -> None:
        self.status_code = status


# What Azurite cannot be made to answer.
@pytest.mark.parametrize(
    ("status", "code", "key", "words"),
    [
        (403, "AuthenticationFailed", None, "run `az login` again"),
        (403, "AuthenticationFailed", "a2V5", "not one of the storage account acme's"),
        (403, "AuthorizationFailure", None, "keeps this machine out"),
        (403, "AuthorizationPermissionMismatch", None, "role `Storage Blob Data Contributor`"),
        (403, "KeyBasedAuthenticationNotPermitted", "a2V5", "log in with `az login`"),
        (403, "AccountIsDisabled", "a2V5", "disabled"),
        (409, "ContainerBeingDeleted", "a2V5", "being deleted"),
        (409, "BlobImmutableDueToPolicy", "a2V5", "immutability"),
        (409, "BlobUsesCustomerSpecifiedEncryption", "a2V5", "encrypted with a key"),
        (400, "InvalidBlockList", "a2V5", "someone else stored the blob"),
        (400, "InvalidBlobOrBlock", "a2V5", "another program has begun"),
        (503, "ServerBusy", "a2V5", "fewer --jobs"),
        (418, "SomethingNew", "a2V5", "the storage account acme answered 418 SomethingNew."),
    ],
)
def test_codes(status, code, key, words):
    account = BlobAccount(url="https://acme.blob.core.windows.net", name="acme", key=key)
    error = HttpResponseError(message="https://acme?sig=abc", response=Answer(status))  # type: ignore[arg-type]
    error.error_code = code  # type: ignore[attr-defined]
    explained = explain(error, account, "az://box/x")
    assert words in said(explained)
    assert (explained.status, explained.code) == (status, code)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ServiceRequestError("Failed to resolve 'acme.blob' ([Errno -2] Name or service not known)"),
            "no host for",
        ),
        (ServiceRequestError("Connection refused with url: /c?sig=abc"), "firewall or proxy"),
        (ServiceResponseError("Read timed out. url /c?sig=abc"), "did not answer in time"),
        (ServiceResponseError("Connection aborted. url /c?sig=abc"), "no answer from"),
    ],
)
def test_no_answer(error, words):
    account = BlobAccount(url="https://acme.blob.core.windows.net", name="acme")
    assert words in said(explain(error, account, "az://box/x"))


@pytest.mark.parametrize(
    "ask", ["managed_exists", "managed_mtime", "managed_size", "managed_retrieve", "managed_touch"]
)
def test_through_snakemakes_wrappers(azurite, box, tmp_path, ask):
    provider = StorageProvider(
        local_prefix=tmp_path,
        logger=logging.getLogger(__name__),
        settings=StorageProviderSettings(account_url=azurite.sas_url(expiry=timedelta(hours=-1))),
    )
    mark = azurite.mark()
    with pytest.raises(WorkflowError) as error:
        asyncio.run(getattr(provider.object(f"az://{box}/x"), ask)())
    assert 0 < len(azurite.requests(mark)) <= 2, "a refusal must not be tried again and again"
    shown = "".join(traceback.format_exception(error.value))
    assert "expired at" in shown and not re.search("sig=[^*]", shown)
