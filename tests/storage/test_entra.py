"""Entra ID: `DefaultAzureCredential` finds a login, and tasks get a user delegation SAS for the container.

Azurite takes OAuth tokens over https and checks their claims, but not their signature. So a stand-in for the `az`
command hands one out, and everything else is real.
"""

import base64
import json
import os
import shlex
import time
from datetime import UTC, datetime, timedelta

import pytest
from support.azurite import running_azurite

from snakemake.azure.blob.account import BlobAccount, BlobAccountError
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.node_access import NodeAccess, Use
from snakemake.azure.blob.store import BlobStore


def token():
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(time.time())
    tenant = "dd0d0df1-06c3-436c-8034-4b9a153097ce"
    claims = {
        "aud": "https://storage.azure.com",
        "iss": f"https://sts.windows.net/{tenant}/",
        "iat": now,
        "nbf": now - 60,
        "exp": now + 3600,
        "oid": "23657296-5cd5-45b0-a809-d972a7f4dfe1",
        "tid": tenant,
        "ver": "1.0",
    }
    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.c2ln"


@pytest.fixture(scope="module")
def secure_azurite(tmp_path_factory, pem):
    folder = tmp_path_factory.mktemp("azurite-oauth")
    with running_azurite(
        folder, "--oauth", "basic", "--cert", str(pem.cert), "--key", str(pem.key)
    ) as running:
        yield running, pem.ca


@pytest.fixture
def login(secure_azurite, tmp_path, monkeypatch):
    """What `az login` leaves: an `az` that gives tokens. Returns the account's URL."""
    running, authority = secure_azurite
    answer = {
        "accessToken": token(),
        "expires_on": int(time.time()) + 3600,
        "expiresOn": "2099-01-01 00:00:00.000000",
    }
    az = tmp_path / "bin" / "az"
    az.parent.mkdir()
    az.write_text(f"#!/bin/sh\necho {shlex.quote(json.dumps(answer))}\n")
    az.chmod(0o755)
    monkeypatch.setenv("PATH", f"{az.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    return running.url


def test_a_login_gives_access_and_a_delegated_sas_for_tasks(login, tmp_path):
    account = BlobAccount.resolve(account_url=login, environ={})
    assert account.kind == "token"
    (tmp_path / "file").write_text("1")
    BlobStore(account).upload("box", "x/y", tmp_path / "file")
    now = datetime.now(UTC)

    def given(**containers):
        use = Use(account, lambda: containers)
        return NodeAccess("smk-run", [use], lambda: now, timedelta(days=30), pytest.fail).environment()

    node = BlobAccount.resolve(environ=given(box=True))
    assert node.sas and "skoid=" in node.sas and "sr=c" in node.sas
    assert node.sas_expiry and node.sas_expiry <= now + timedelta(days=7)
    store = BlobStore(node)
    store.upload("box", "z", tmp_path / "file")
    assert [b.name for page in store.pages("box", "") for b in page.blobs] == ["x/y", "z"]
    store.remove("box", "x/y")
    with pytest.raises(BlobError):
        store.upload("other", "z", tmp_path / "file")

    several = BlobStore(BlobAccount.resolve(environ=given(box=False, second=True)))
    several.upload("second", "z", tmp_path / "file")
    assert several.exists("box", "z")
    with pytest.raises(BlobError):
        several.upload("box", "w", tmp_path / "file")


def test_without_a_login_the_error_says_what_to_do(secure_azurite, monkeypatch, tmp_path):
    running, authority = secure_azurite
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    with pytest.raises(BlobAccountError, match="^No Entra ID login was found .* run `az login`"):
        BlobStore(BlobAccount.resolve(account_url=running.url, environ={})).head("box", "x")
