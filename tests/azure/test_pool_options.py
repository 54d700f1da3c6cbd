"""Options of pools: what is refused, and what becomes of them in the request for a pool."""

import shlex
import subprocess
from datetime import timedelta
from types import SimpleNamespace

import pytest

from snakemake.azure import pool_options
from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.autoscale import AutoScale
from snakemake.azure.batch.pool_definition import PLAIN, PoolDefinition
from snakemake.azure.batch.pools import PoolPlan
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.preflight.options import validate
from snakemake.azure.settings import ExecutorSettings, SettingsError, resolve

URL = "https://acct.westeurope.batch.azure.com"
KEY = "c2VjcmV0LWtleS1vZi10aGUtdGVzdA=="
LINKED = "/subscriptions/s/resourceGroups/g/providers"
IDENTITY = f"{LINKED}/Microsoft.ManagedIdentity/userAssignedIdentities/robot"
SUBNET = f"{LINKED}/Microsoft.Network/virtualNetworks/v/subnets/n"
STORAGE = BlobAccount(url="https://mine.blob.core.windows.net", name="mine", key=KEY, source="here")
OS_IMAGE = SimpleNamespace(
    publisher="p", offer="o", sku="2404", version="latest", node_agent_sku_id="a", name="p:o:2404"
)
IMAGE = "me.azurecr.io/tool:1"
LOGIN = {"AZ_BATCH_REGISTRY_USER": "puller", "AZ_BATCH_REGISTRY_PASSWORD": "correct-horse"}


def definition(environ=None, storage=STORAGE, account=None, **options) -> PoolDefinition:
    environ = environ or {}
    settings = resolve(ExecutorSettings(account_url=URL, **options), environ)
    validate(settings)
    found = pool_options.definition(settings, IMAGE, storage, environ)
    pool_options.check(settings, found, account or BatchAccount(URL, "acct"))
    return found


def body(made: PoolDefinition) -> dict:
    plan = PoolPlan("pool", "Standard_D4ds_v5", 4, 10, IMAGE, OS_IMAGE, definition=made)  # type: ignore[arg-type]
    return plan.options("f", timedelta(minutes=5)).as_dict()


def containers(made: PoolDefinition) -> dict:
    return body(made)["virtualMachineConfiguration"]["containerConfiguration"]


@pytest.mark.parametrize(
    "options, says",
    [
        ({"user": "Robert'); DROP"}, "--az-batch-user"),
        ({"user": "me:0:0"}, "give root instead"),
        ({"os_disk": 5}, "--az-batch-os-disk 5 is out of bounds"),
        ({"data_disk": 0}, "--az-batch-data-disk 0 is out of bounds"),
        ({"docker_data": "data"}, "set --az-batch-data-disk"),
        ({"docker_data": "floppy"}, "none of os, temp, data"),
        ({"container_options": "--gpus all"}, "--gpus is set by Batch itself"),
        ({"container_options": "-u 0"}, "set --az-batch-user"),
        ({"container_options": "'"}, "a quote that does not end"),
        ({"container_options": "shm-size 8g"}, "does not begin with an option"),
        ({"tags": ["atlas"]}, "give NAME=VALUE"),
        ({"tags": ["snakemake-run=x"]}, "Snakemake's own"),
        ({"mount": ["az://Account"]}, "az://ACCOUNT/CONTAINER=PATH"),
        ({"mount": ["nfs://server/x=../x"]}, "az://ACCOUNT/CONTAINER=PATH"),
        ({"mount": ["nfs://server/x=a", "nfs://server/y=a/b"]}, "another one's path"),
        ({"mount": [f"nfs://server/x=p{n}" for n in range(11)]}, "at most 10 mounts"),
        ({"mount": ["az://another/container=data"]}, "--az-batch-identity"),
        ({"registry": "https://r.example.org"}, "is not a registry's host"),
        ({"registry": "r.example.org"}, "AZ_BATCH_REGISTRY_USER"),
        ({"registry_user": "me"}, "AZ_BATCH_REGISTRY_PASSWORD"),
        ({"registry_user": "me", "registry_identity": IDENTITY}, "two ways to log in"),
        ({"registry_identity": "robot"}, "az identity show"),
        ({"identity": ["robot"]}, "az identity show"),
        ({"subnet_id": "n"}, "not a subnet's resource id"),
        ({"no_public_ip": True}, "set --az-batch-subnet-id, too"),
        ({"keep_pool": 0}, "--az-batch-keep-pool 0 is out of bounds"),
        ({"os_disk": 99, "pool_id": "mine"}, "--az-batch-os-disk is for a new pool"),
        ({"no_public_ip": True, "pool_id": "mine"}, "--az-batch-no-public-ip is for a new pool"),
    ],
)  # fmt: skip
def test_refused_in_one_sentence(options, says):
    with pytest.raises(SettingsError, match=says) as e:
        definition(**options)
    assert "\n" not in str(e.value)


def test_what_tasks_have_goes_with_a_pool_that_exists():
    assert definition(pool_id="mine", user="root", container_options="--init").user.name == "root"


def test_a_plain_pool_asks_for_nothing_more():
    assert definition() == PLAIN
    plain = body(PLAIN)
    assert not {"networkConfiguration", "userAccounts", "startTask", "mountConfiguration"} & set(plain)
    assert "containerRegistries" not in containers(PLAIN)


@pytest.mark.parametrize("name", ["AZ_BATCH_REGISTRY_PASSWORD", "BATCH_CONTAINER_REGISTRY_PASS"])
def test_a_registrys_login_comes_from_the_environment(name):
    made = definition({"AZ_BATCH_REGISTRY_USER": "puller", name: "correct-horse"})
    (registry,) = containers(made)["containerRegistries"]
    assert registry == {"registryServer": "me.azurecr.io", "username": "puller", "password": "correct-horse"}
    assert "correct-horse" not in repr(made)


def test_a_registrys_login_comes_from_a_file(tmp_path):
    file = tmp_path / "login"
    file.write_text("puller\ncorrect-horse\n")
    (registry,) = containers(definition(registry_login=file, registry="other.io"))["containerRegistries"]
    assert (registry["registryServer"], registry["password"]) == ("other.io", "correct-horse")
    file.write_text("correct-horse")
    with pytest.raises(SettingsError, match="two lines") as e:
        definition(registry_login=file)
    assert "correct-horse" not in str(e.value)


def test_a_password_without_a_name_is_told():
    with pytest.raises(SettingsError, match="set AZ_BATCH_REGISTRY_USER"):
        definition({"AZ_BATCH_REGISTRY_PASSWORD": "correct-horse"})


def test_a_registrys_identity_is_the_pools_as_well():
    made = definition(registry_identity=IDENTITY)
    (registry,) = containers(made)["containerRegistries"]
    assert registry == {"registryServer": "me.azurecr.io", "identityReference": {"resourceId": IDENTITY}}
    assert made.identities == (IDENTITY,)


def test_a_subnet_without_public_addresses():
    assert body(definition(subnet_id=SUBNET, no_public_ip=True))["networkConfiguration"] == {
        "subnetId": SUBNET,
        "publicIPAddressConfiguration": {"provision": "nopublicipaddresses"},
    }
    with pytest.raises(SettingsError, match="AZ_BATCH_ACCOUNT_KEY is set"):
        definition(subnet_id=SUBNET, account=BatchAccount(URL, "acct", KEY))


def test_an_identity_needs_https():
    with pytest.raises(SettingsError, match="--cert and --key"):
        definition(identity=[IDENTITY], account=BatchAccount("http://127.0.0.1:1", "a", KEY))


@pytest.mark.parametrize(
    "storage, options, secret",
    [
        (STORAGE, {}, {"accountKey": KEY}),
        (
            BlobAccount(url=STORAGE.url, name="mine", sas="sv=1&sig=x", source="here"),
            {},
            {"sasKey": "?sv=1&sig=x"},
        ),
        (STORAGE, {"identity": [IDENTITY]}, {"identityReference": {"resourceId": IDENTITY}}),
    ],
)
def test_containers_are_mounted_by_what_there_is(storage, options, secret):
    made = definition(
        storage=storage, mount=["az://mine/refs=genomes/hs38", "nfs://10.0.0.4/export=nfs"], **options
    )
    blobs, nfs = body(made)["mountConfiguration"]
    assert blobs["azureBlobFileSystemConfiguration"] == {
        "accountName": "mine", "containerName": "refs", "relativeMountPath": "genomes/hs38", **secret
    }  # fmt: skip
    assert nfs["nfsMountConfiguration"] == {"source": "10.0.0.4:/export", "relativeMountPath": "nfs"}
    assert KEY not in repr(made) and "sig=" not in repr(made)


def test_disks_are_asked_for_and_used(tmp_path):
    made = body(definition(os_disk=256, data_disk=1024))
    assert made["virtualMachineConfiguration"]["osDisk"] == {"diskSizeGB": 256}
    assert made["virtualMachineConfiguration"]["dataDisks"] == [{"lun": 0, "diskSizeGB": 1024}]
    assert made["startTask"]["commandLine"].endswith("bash node_setup.sh data data'")
    assert made["startTask"]["userIdentity"]["autoUser"]["elevationLevel"] == "admin"
    moved = body(definition(docker_data="temp"))["startTask"]["commandLine"]
    assert moved.endswith("bash node_setup.sh nodata temp'")
    assert "startTask" not in body(definition(os_disk=256))


def test_a_start_task_that_is_no_script_is_told(tmp_path):
    for content, says in ((b"", "is empty"), (b"\xff\xfe", "not UTF-8")):
        file = tmp_path / "start.sh"
        file.write_bytes(content)
        with pytest.raises(SettingsError, match=says):
            definition(start_task=file)
    file.write_text("".join(f"{hash((n, 'x'))}" for n in range(8000)))
    with pytest.raises(SettingsError, match="let it fetch what is large"):
        definition(start_task=file)


OTHERS = [
    {"registry_identity": IDENTITY},
    {"identity": [IDENTITY]},
    {"user": "root"},
    {"subnet_id": SUBNET},
    {"os_disk": 100},
    {"data_disk": 100},
    {"docker_data": "temp"},
    {"mount": ["nfs://s/x=a"]},
    {"environ": LOGIN},
    {"environ": {**LOGIN, "AZ_BATCH_REGISTRY_PASSWORD": "another-horse"}},
]


def test_the_digest_is_the_same_for_the_same_and_another_for_whatever_differs():
    def digest(**options):
        return definition(**options).digest("Standard_D4ds_v5", 4, IMAGE, OS_IMAGE)

    digests = [digest(), *(digest(**other) for other in OTHERS)]
    assert len(set(digests)) == len(digests)
    assert digests == [digest(), *(digest(**other) for other in OTHERS)]
    assert digest(tags=["a=b"]) == digests[0], "tags are no part of nodes"
    assert PLAIN.digest("Standard_D4ds_v5", 8, IMAGE, OS_IMAGE) != digests[0]


def test_tags_tell_workflow_and_user():
    tags = dict(pool_options.tags(ExecutorSettings(tags=["project=atlas", "note=a=b"]), "variants"))
    assert tags["snakemake-workflow"] == "variants" and tags["snakemake-user"]
    assert tags["project"] == "atlas" and tags["note"] == "a=b"


def test_a_formula_is_given_or_in_a_file_or_snakemakes_own(tmp_path):
    file = tmp_path / "formula.txt"
    file.write_text("$TargetDedicatedNodes = 4;\n")
    for value, formula in (
        ("auto", ""),
        ("$TargetDedicatedNodes = 2", "$TargetDedicatedNodes = 2"),
        (str(file), file.read_text()),
    ):
        assert pool_options.autoscale(ExecutorSettings(autoscale=value)) == AutoScale(formula)
    assert pool_options.autoscale(ExecutorSettings()) is None


@pytest.mark.parametrize(
    "value, says",
    [
        ("none.txt", "no file that can be read"),
        ("nodes = 2", r"assign \$TargetDedicatedNodes"),
        ("$TargetDedicatedNodes = 1; //" + "x" * 8192, "shorten it"),
    ],
)
def test_a_formula_that_is_none_is_refused(value, says):
    with pytest.raises(SettingsError, match=says):
        definition(autoscale=value)


def test_the_disks_script_leaves_what_is_no_node_of_azure_alone(tmp_path):
    command = definition_command(definition(data_disk=64))
    root = {"AZ_BATCH_NODE_ROOT_DIR": str(tmp_path / "node"), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    done = subprocess.run(shlex.split(command), cwd=tmp_path, env=root, capture_output=True, text=True)
    assert done.returncode == 0 and "its disks stay as they are" in done.stdout, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["node_setup.sh"]


def test_a_start_task_gets_its_script_whole(tmp_path):
    script = tmp_path / "start.sh"
    script.write_text("#!/bin/sh\necho \"it's $1 ü\" 'done'\n")
    command = definition_command(definition(start_task=script))
    done = subprocess.run(shlex.split(command), cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "it's  ü done\n", done.stderr


def definition_command(made: PoolDefinition) -> str:
    return body(made)["startTask"]["commandLine"]
