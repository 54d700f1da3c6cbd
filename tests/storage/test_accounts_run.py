"""Two storage accounts in one workflow: on this machine, and in tasks of the emulator."""

import base64
import dataclasses
import json
from contextlib import suppress

import pytest
from azure.core.exceptions import ResourceNotFoundError
from executor.conftest import site  # noqa: F401
from support.azurite import AZURITE_ACCOUNT, AZURITE_KEY, running_azurite
from support.emulator import wait_until

SECOND = "secondaccount"
SECOND_KEY = base64.b64encode(b"the key of the second account").decode()

WORKFLOW = """
storage other:
    provider="azblob"

rule all:
    input: storage.other("az://CONTAINER/run/out")

rule copy:
    input: "in", storage.other("az://CONTAINER/run/in")
    output: "first"
    shell: "cat {input} > {output}"

rule back:
    input: "first", storage.other("az://CONTAINER/run/in")
    output: storage.other("az://CONTAINER/run/out")
    shell: "cat {input} > {output}"
"""


@pytest.fixture(scope="module")
def two_accounts(tmp_path_factory):
    given = f"{AZURITE_ACCOUNT}:{AZURITE_KEY};{SECOND}:{SECOND_KEY}"
    with running_azurite(tmp_path_factory.mktemp("azurite-two"), AZURITE_ACCOUNTS=given) as running:
        yield running, dataclasses.replace(running, account=SECOND, key=SECOND_KEY)


@pytest.fixture
def both(site, two_accounts):  # noqa: F811
    """The site with its default account on that Azurite, and the second account's container, of the same name."""
    first, second = two_accounts
    site.azurite, site.container = first, first.new_container()
    container = second.service().create_container(site.container.container_name)
    site.write({"Snakefile": WORKFLOW.replace("CONTAINER", container.container_name)})
    site.put("in", b"first\n")
    container.upload_blob("run/in", b"second\n")
    site.environ |= {"AZ_BLOB_ACCOUNT_URL": first.sas_url()}
    del site.environ["AZ_BLOB_ACCOUNT_KEY"]
    return site, container, second


def names(container) -> list[str]:
    return [b.name for b in container.list_blobs() if ".snakemake" not in b.name]


def check(both) -> None:
    site, container, _ = both  # noqa: F811
    assert site.read("first") == "first\nsecond\n"
    assert container.download_blob("run/out").readall() == b"first\nsecond\nsecond\n"
    assert names(site.container) == ["run/first", "run/in"] and names(container) == ["run/in", "run/out"]


def test_in_tasks_each_account_by_its_own_sas(both):
    site, _, second = both  # noqa: F811
    # By variable: a list, since there is one setting for the tag, and one for all else.
    site.environ["SNAKEMAKE_STORAGE_AZBLOB_ACCOUNT_URL"] = json.dumps(
        [f"other::{second.sas_url()}", site.environ["AZ_BLOB_ACCOUNT_URL"]]
    )
    seen = []

    def watched() -> bool:
        with suppress(ResourceNotFoundError):  # a job that was deleted between two requests
            seen.extend(t.command_line for t in site.tasks())
        return process.poll() is not None

    with site.running("--az-batch-nodes", "1") as process:
        wait_until(watched, timeout=120)
    assert process.returncode == 0, site.output()[-3000:]
    check(both)
    assert seen and not any("sig=" in line or second.key in line for line in seen)
    assert "sig=" not in site.output().replace("sig=***", "")


def test_with_the_local_executor(both):
    site, _, second = both  # noqa: F811
    options = ["--default-storage-provider", "azblob", "--default-storage-prefix", site.prefix]
    done = site.run(
        command=[
            *[site.command()[0], "--cores", "1", *options],
            *["--storage-azblob-account-url", f"other::{second.sas_url()}"],
        ]
    )
    assert done.code == 0, done.last_error()
    check(both)
