"""Runs without any key, over https: Entra ID for both accounts, as `DefaultAzureCredential` finds it in the environment."""

import re

import pytest
from azure.identity import ClientSecretCredential
from azure.storage.blob import BlobServiceClient

from azure_batch_emulator.host.azurite import KEY
from azure_batch_emulator.identity import directory

from .conftest import Site

SNAKEFILE = """
rule all:
    input: "out/a.txt"

rule a:
    input: "in.txt"
    output: "out/a.txt"
    shell: "(cat {input}; env | grep -c -e CLIENT_SECRET -e ACCOUNT_KEY) > {output} || true"
"""


@pytest.fixture
def entra(site, secure, pem) -> Site:
    """A site whose services speak https alone, and whose environment holds a login and no key."""
    url = secure.blob_url.partition("?")[0]
    for name in ("AZ_BATCH_ACCOUNT_KEY", "AZ_BLOB_ACCOUNT_KEY"):
        del site.environ[name]
    site.environ |= {
        "AZ_BATCH_ACCOUNT_URL": secure.url,
        "AZ_BLOB_ACCOUNT_URL": url,
        "REQUESTS_CA_BUNDLE": str(pem.ca),
        "AZURE_AUTHORITY_HOST": secure.url,
        "AZURE_TENANT_ID": "adfs",
        "AZURE_CLIENT_ID": directory.CLIENT_ID,
        "AZURE_CLIENT_SECRET": directory.CLIENT_SECRET,
    }
    credential = ClientSecretCredential(
        "adfs", directory.CLIENT_ID, directory.CLIENT_SECRET, authority=secure.url
    )
    with BlobServiceClient(url, credential) as service:
        container = service.create_container(site.container.container_name)
        yield Site(site.workdir, secure, None, container, site.environ)
        container.delete_container()


def test_a_run_without_keys(entra):
    entra.write({"Snakefile": SNAKEFILE})
    entra.put("in.txt", b"one\n")
    result = entra.run()
    assert result.code == 0, result.last_error()
    assert entra.read("out/a.txt") == "one\n0\n"
    assert directory.CLIENT_SECRET not in result.output
    assert not re.search(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", result.output), "a token was printed"
    entra.assert_clean()


def test_a_wrong_secret_is_told_before_anything_is_made(entra):
    """The storage account opens with its key, so that the login for the Batch account is what fails."""
    entra.write({"Snakefile": SNAKEFILE})
    entra.put("in.txt", b"one\n")
    entra.environ |= {"AZURE_CLIENT_SECRET": "not-the-secret", "AZ_BLOB_ACCOUNT_KEY": KEY}
    result = entra.run()
    assert result.code != 0
    assert "The Batch account devbatch accepts no credentials that were found here" in result.output
    assert "AADSTS7000215" in result.output
    assert "not-the-secret" not in result.output and "Traceback" not in result.output
    assert entra.left() == []
