"""Runs without any key, over https: Entra ID for both accounts, as `DefaultAzureCredential` finds it in the environment."""

import re

import pytest
from azure.identity import ClientSecretCredential
from azure.storage.blob import BlobServiceClient
from emulator.helpers import VM, make_pool
from emulator.raw import send
from support.emulator import wait_until
from support.looking import looking

from azure_batch_emulator.host.azurite import KEY
from azure_batch_emulator.identity import directory

from .conftest import Site

CONTAINERS = VM.as_dict() | {"containerConfiguration": {"type": "dockerCompatible"}}
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


IDENTITY = (
    f"/subscriptions/{directory.SUBSCRIPTION}/resourceGroups/any/providers/Microsoft.ManagedIdentity"
    "/userAssignedIdentities/robot"
)
SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"
WITH_TOKEN = """
rule a:
    output: "out/a.txt"
    run:
        from azure.identity import DefaultAzureCredential
        token = DefaultAzureCredential().get_token("https://storage.azure.com/.default").token
        import jwt
        who = jwt.decode(token, options={"verify_signature": False})["xms_mirid"]
        open(output[0], "w").write(who)
"""


def test_a_pool_with_an_identity_in_a_network(entra):
    """Made by Resource Manager; its tasks get the identity's tokens by the unmodified library."""
    from azure.mgmt.batch import BatchManagementClient

    credential = ClientSecretCredential(
        "adfs", directory.CLIENT_ID, directory.CLIENT_SECRET, authority=entra.emulator.url
    )
    held = WITH_TOKEN.replace("    run:\n", f'    run:\n        shell("{entra.held()}")\n')
    entra.write({"Snakefile": held})
    options = ["--az-batch-no-public-ip", "--az-batch-tags", "project=atlas", "--az-batch-user", "biologist"]
    with entra.running(
        *options, az_batch_identity=IDENTITY, az_batch_registry_identity=IDENTITY, az_batch_subnet_id=SUBNET
    ) as process:
        with BatchManagementClient(credential, directory.SUBSCRIPTION, entra.emulator.url) as client:
            wait_until(lambda: process.poll() is not None or entra.tasks())
            assert process.poll() is None, entra.output()
            (pool,) = list(client.pool.list_by_batch_account("devbatch", "devbatch"))
        entra.let_go()
        assert process.wait(90) == 0, entra.output()
    assert list(pool.identity.user_assigned_identities) == [IDENTITY]
    assert pool.tags["project"] == "atlas" and pool.tags["snakemake-run"] in pool.name
    network = pool.properties.network_configuration
    assert network.subnet_id == SUBNET
    assert network.public_ip_address_configuration.provision == "NoPublicIPAddresses"
    containers = (
        pool.properties.deployment_configuration.virtual_machine_configuration.container_configuration
    )
    (registry,) = containers.container_registries
    assert registry.identity_reference.resource_id == IDENTITY and registry.user_name is None
    assert pool.properties.user_accounts[0].name == "biologist"
    assert pool.properties.task_scheduling_policy.node_fill_type == "Pack"
    assert entra.read("out/a.txt") == IDENTITY
    entra.assert_clean()


def test_an_account_that_is_not_in_the_subscription_is_told(entra):
    entra.write({"Snakefile": SNAKEFILE})
    entra.put("in.txt", b"one\n")
    other = IDENTITY.replace(directory.SUBSCRIPTION, "11111111-2222-3333-4444-555555555555")
    result = entra.run(az_batch_identity=other)
    assert result.code == 1 and "--az-batch-subscription-id" in result.output, result.output
    assert "Traceback" not in result.output and "created the pool" not in result.output
    entra.assert_clean()
    result = entra.run(az_batch_identity=other, az_batch_subscription_id=directory.SUBSCRIPTION)
    assert result.code == 0, result.last_error()


def test_a_pool_that_exists_is_used_with_the_role_of_a_job_submitter(entra, request):
    entra.write({"Snakefile": SNAKEFILE})
    entra.put("in.txt", b"one\n")
    make_pool(entra.emulator.client(), "mine", virtual_machine_configuration=CONTAINERS)
    role = f"/-/roles/{directory.CLIENT_ID}"
    request.addfinalizer(lambda: send(entra.emulator, "PUT", role, {"role": None}))
    send(entra.emulator, "PUT", role, {"role": "Azure Batch Job Submitter"})
    result = entra.run(az_batch_pool_id="mine", az_batch_user="nobody-there")
    assert result.code == 1 and "The pool mine has no user nobody-there" in result.output, result.output
    result = entra.run(az_batch_pool_id="mine")
    assert result.code == 0, result.last_error()
    assert entra.read("out/a.txt") == "one\n0\n"
    assert "WARNING" not in result.output and "403" not in result.output
    result = entra.run("--forceall")
    assert result.code == 1 and "'Azure Batch Job Submitter'" in result.output, "but none is made"


def test_a_job_submitter_may_look_into_its_tasks(entra, request):
    entra.write({"Snakefile": f'rule a:\n    output: touch("a")\n    shell: "echo begun; {entra.held()}"\n'})
    make_pool(entra.emulator.client(), "mine", virtual_machine_configuration=CONTAINERS)
    role = f"/-/roles/{directory.CLIENT_ID}"
    request.addfinalizer(lambda: send(entra.emulator, "PUT", role, {"role": None}))
    send(entra.emulator, "PUT", role, {"role": "Azure Batch Job Submitter"})
    with entra.running(az_batch_pool_id="mine") as run:
        wait_until(lambda: any(str(task.state).lower().endswith("running") for task in entra.tasks()))
        with looking(entra, "a") as tail:
            wait_until(lambda: "begun" in tail.out())
            entra.let_go()
            assert tail.process.wait(60) == 0, tail.both()
        assert run.wait(60) == 0, entra.output()


def test_tasks_find_a_container_that_nodes_mount_by_the_pools_identity(fuse, entra):
    entra.put("refs/genome.txt", b"acgt\n")
    entra.write(
        {
            "Snakefile": 'rule a:\n    output: "out/a.txt"\n'
            '    shell: "cat $AZ_BATCH_NODE_MOUNTS_DIR/refs/run/refs/genome.txt > {output}"\n'
        }
    )
    mount = f"az://devstoreaccount1/{entra.container.container_name}=refs"
    result = entra.run(az_batch_identity=IDENTITY, az_batch_mount=mount)
    assert result.code == 0, result.last_error()
    assert entra.read("out/a.txt") == "acgt\n"
    entra.assert_clean()
