"""Logins of Entra ID: which cloud gives them and for what, and managed identities against the emulator's own endpoint."""

import json
import time
import uuid
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.exceptions import ServiceRequestError
from emulator.identity.test_managed_identity import IDENTITY, OTHER, endpoint, make_identity_pool, make_job
from support.listening import Answer, listening

from azure_batch_emulator.identity import managed
from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.blob.account import BlobAccount, BlobAccountError
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.store import BlobStore
from snakemake.azure.login import authority_of
from snakemake.azure.settings import ExecutorSettings


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://acme.blob.core.windows.net", None),
        ("https://acme.z01.blob.storage.azure.net", None),
        ("https://acme.blob.core.chinacloudapi.cn", "login.chinacloudapi.cn"),
        ("https://acme.chinanorth3.batch.chinacloudapi.cn", "login.chinacloudapi.cn"),
        ("https://acme.blob.core.usgovcloudapi.net", "login.microsoftonline.us"),
        ("https://acme.usgovvirginia.batch.usgovcloudapi.net", "login.microsoftonline.us"),
        ("https://chinacloudapi.cn.acme.org", None),
        ("https://127.0.0.1:10000/devstoreaccount1", None),
    ],
)
def test_each_cloud_has_its_authority(url, authority):
    assert authority_of(url, {}) == authority
    assert authority_of(url, {"AZURE_AUTHORITY_HOST": "login.acme.org"}) is None


@pytest.fixture
def asked(monkeypatch):
    """Audiences that `DefaultAzureCredential` asks an endpoint of managed identities for; no host can be reached."""

    def answer(arrival):
        token = {"access_token": "x.y.z", "expires_on": int(time.time()) + 3600, "token_type": "Bearer"}
        return Answer(body=json.dumps(token).encode(), headers={"Content-Type": "application/json"})

    with listening(answer) as identities, listening(lambda _: Answer(502)) as proxy:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identities.url}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "secret")
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield lambda: [parse_qs(urlsplit(a.target).query)["resource"][0] for a in identities.seen]


CLOUDS = [
    ("batch.azure.com", "blob.core.windows.net", "https://batch.core.windows.net/"),
    ("batch.chinacloudapi.cn", "blob.core.chinacloudapi.cn", "https://batch.chinacloudapi.cn/"),
    ("batch.usgovcloudapi.net", "blob.core.usgovcloudapi.net", "https://batch.core.usgovcloudapi.net/"),
]


@pytest.mark.parametrize(("batch", "blob", "audience"), CLOUDS)
def test_each_cloud_has_its_audience(asked, batch, blob, audience):
    account = BatchAccount.resolve(ExecutorSettings(account_url=f"https://acme.north.{batch}"), {})
    with account.client() as client, pytest.raises(ServiceRequestError):
        list(client.list_pools(retry_total=0))
    store = BlobStore(BlobAccount.resolve(account_url=f"https://acme.{blob}", environ={}), patience=0)
    with pytest.raises(BlobError):
        store.head("box", "x")
    assert asked() == [audience, "https://storage.azure.com"]


def test_a_managed_identity_by_its_client_id(secure, monkeypatch, tmp_path):
    client = make_identity_pool(secure, IDENTITY, OTHER)
    make_job(client)
    url, header = endpoint(client)
    monkeypatch.setenv("IDENTITY_ENDPOINT", url)
    monkeypatch.setenv("IDENTITY_HEADER", header)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    account = BlobAccount.resolve(account_url=secure.blob_url.partition("?")[0], environ={})
    (tmp_path / "in").write_text("by identity")
    with pytest.raises(BlobAccountError, match="No Entra ID login was found"):  # the pool has two of them
        BlobStore(account).upload("box", "x", tmp_path / "in")

    monkeypatch.setenv("AZURE_CLIENT_ID", managed.client_id(OTHER))
    store, box = BlobStore(account), f"box-{uuid.uuid4().hex[:12]}"
    store.upload(box, "x", tmp_path / "in")
    store.fetch(box, "x", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "by identity"
