"""Logins of Entra ID: which cloud gives them, and managed identities against the emulator's own endpoint."""

import uuid

import pytest
from emulator.test_managed_identity import IDENTITY, OTHER, endpoint, make_identity_pool, make_job

from azure_batch_emulator.identity import managed
from snakemake.azure.blob.account import BlobAccount, BlobAccountError
from snakemake.azure.blob.store import BlobStore
from snakemake.azure.login import authority_of


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
