"""Containers of Azurite mounted on nodes: the real client, the real Azurite, rclone and the kernel's FUSE."""

import base64
import os
import shutil
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError
from azure.mgmt.batch import models as arm
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas
from support.emulator import running_emulator, wait_until

from azure_batch_emulator.host.azurite import ACCOUNT, KEY, accounts
from azure_batch_emulator.nodes.mounts import below, mountable, translate, unmount_below
from azure_batch_emulator.nodes.workspace import Workspace

from ..helpers import VM, completed, make_job, make_pool, shell, task, text
from ..identity.test_managed_identity import make_identity_pool
from ..management.test_management import IDENTITY

SECOND_KEY = base64.b64encode(b"second").decode()
FAILED = "An error was encountered while configuring specified mount(s)"


@pytest.fixture(scope="module")
def location(tmp_path_factory):
    return tmp_path_factory.mktemp("location")


@pytest.fixture(scope="module")
def process(fuse, location):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZURITE_ACCOUNTS", f"{ACCOUNT}:{KEY};second:{SECOND_KEY}")
        with running_emulator(blob_port=0, location=location) as emulator:
            yield emulator
    assert below(location) == []


@pytest.fixture
def mounting(process):
    process.clean()
    return process


def new_container(emulator):
    container = BlobServiceClient(emulator.blob_url).create_container(f"c{uuid.uuid4().hex}")
    container.upload_blob("in/a.txt", b"given")
    return container


@pytest.fixture
def container(mounting):
    return new_container(mounting)


def blobs(container, path="data", **options):
    given = {"account_name": ACCOUNT, "container_name": container.container_name, "relative_mount_path": path}
    if not {"sas_key", "identity_reference"} & set(options):
        given["account_key"] = KEY
    system = models.AzureBlobFileSystemConfiguration(**given | options)
    return models.MountConfiguration(azure_blob_file_system_configuration=system)


def run(client, script, task_id="t", **options):
    client.create_task("job", task(task_id, shell(f"cd $AZ_BATCH_NODE_MOUNTS_DIR; {script}"), **options))
    done = completed(client, task_id=task_id)
    outputs = [
        text(client.download_task_file("job", task_id, f"{name}.txt")) for name in ("stdout", "stderr")
    ]
    return done.execution_info.exit_code, *outputs


def names(container):
    return {blob.name for blob in container.list_blobs()}


def test_tasks_read_and_write_blobs(mounting, container, location):
    client = mounting.client()
    start = models.BatchStartTask(
        command_line=shell("cp $AZ_BATCH_NODE_MOUNTS_DIR/deep/data/in/a.txt seen"), wait_for_success=True
    )
    make_pool(client, nodes=2, mount_configuration=[blobs(container, "deep/data")], start_task=start)
    shown = client.get_pool("pool").mount_configuration[0].azure_blob_file_system_configuration
    assert (shown.account_name, shown.account_key) == (ACCOUNT, None)
    one, other = client.list_nodes("pool")
    assert text(client.download_node_file("pool", one.id, "startup/wd/seen")) == "given"
    make_job(client)
    script = "cd deep/data && echo a > tmp && echo b >> tmp && mkdir out && mv tmp out/b.txt && cat in/a.txt"
    written = run(
        client, script, "writes", affinity_info=models.BatchAffinityInfo(affinity_id=one.affinity_id)
    )
    assert written == (0, "given", "")
    # It is there as soon as the task is over, for clients and for other nodes.
    assert container.download_blob("out/b.txt").readall() == b"a\nb\n"
    affinity = models.BatchAffinityInfo(affinity_id=other.affinity_id)
    assert run(client, "cat deep/data/out/b.txt", "reads", affinity_info=affinity) == (0, "a\nb\n", "")
    container.upload_blob("in/late.txt", b"late")
    code, out, _ = run(client, "cat deep/data/in/late.txt; rm deep/data/in/a.txt", "late")
    assert (code, out) == (0, "late") and names(container) == {"in/late.txt", "out/b.txt"}
    log = text(client.download_node_file("pool", one.id, "fsmounts/blobfuse-deep_data.log"))
    assert container.container_name in log and "sig=" not in log
    # (What has ended since has no name and no command line here.)
    served = [
        p
        for p in psutil.process_iter(["name", "cmdline"])
        if p.info["name"] == "rclone" and str(location) in " ".join(p.info["cmdline"] or ())
    ]
    assert len(served) == 2
    assert not any("sig" in word or KEY in word for p in served for word in p.cmdline())
    client.begin_delete_pool("pool", polling_interval=0.1).wait()
    assert below(location) == [] and not any(p.is_running() for p in served)
    assert names(container) == {"in/late.txt", "out/b.txt"}, "the node went, the blobs did not"
    assert not list((location / "nodes" / "mounts").glob("*/*"))


def test_rights_and_options(mounting, container):
    client = mounting.client()
    rights = ContainerSasPermissions(read=True, list=True)
    expiry = datetime.now(UTC) + timedelta(hours=1)
    sas = generate_container_sas(ACCOUNT, container.container_name, KEY, permission=rights, expiry=expiry)
    options = "-o ro -o attr_timeout=240 --log-level=LOG_DEBUG"
    mounts = [blobs(container, "sas", sas_key=f"?{sas}"), blobs(container, "ro", blobfuse_options=options)]
    make_pool(client, mount_configuration=mounts)
    make_job(client)
    assert run(client, "cat */in/a.txt", "reads") == (0, "givengiven", "")
    assert run(client, "rm sas/in/a.txt", "removes")[0] == 1
    code, _, errors = run(client, "echo x > ro/x", "writes")
    assert code == 1 and "Read-only file system" in errors
    assert names(container) == {"in/a.txt"}
    (node,) = client.list_nodes("pool")
    log = text(client.download_node_file("pool", node.id, "fsmounts/blobfuse-ro.log"))
    assert "without effect in the emulator: attr_timeout=240 --log-level=LOG_DEBUG" in log


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"account_key": "bm9uZQ=="}, "can't be listed"),
        ({"account_key": "x"}, "can't be used"),
        ({"sas_key": "sv=1&sig=none"}, "can't be listed"),
        ({"container_name": "absent"}, "can't be listed"),
    ],
)
def test_a_mount_that_fails(mounting, container, options, message, location):
    client = mounting.client()
    make_pool(client, mount_configuration=[blobs(container, **options)], wait=False)
    wait_until(lambda: [node.state for node in client.list_nodes("pool")] == ["unusable"])
    (node,) = client.list_nodes("pool")
    (error,) = node.errors
    details = {detail.name: detail.value for detail in error.error_details}
    assert (error.code, error.message) == ("MountConfigurationError", FAILED)
    assert details["MountConfigurationPath"] == "data" and message in details["Message"], details
    assert "bm9uZQ" not in details["Message"] and "sig=" not in details["Message"]
    assert below(location) == []


def test_a_node_that_reboots_mounts_again(mounting, container):
    client = mounting.client()
    make_pool(client, mount_configuration=[blobs(container)])
    make_job(client)
    assert run(client, "echo kept > data/x", "before")[0] == 0
    (node,) = client.list_nodes("pool")
    client.begin_reboot_node("pool", node.id, {"nodeRebootOption": "requeue"}, polling_interval=0.1).wait()
    wait_until(lambda: client.get_node("pool", node.id).state == "idle")
    assert run(client, "cat data/x", "after") == (0, "kept\n", "")


def test_a_container_of_another_account(mounting, container):
    client = mounting.client()
    url = mounting.blob_url.partition("?")[0].replace(ACCOUNT, "second")
    credential = {"account_name": "second", "account_key": SECOND_KEY}
    name = f"c{uuid.uuid4().hex}"
    with BlobServiceClient(url, credential=credential) as service:
        other = service.create_container(name)
        make_pool(
            client,
            mount_configuration=[
                blobs(container, "one"),
                blobs(other, "two", account_name="second", account_key=SECOND_KEY),
            ],
        )
        make_job(client)
        assert run(client, "cp one/in/a.txt two/copy") == (0, "", "")
        assert other.download_blob("copy").readall() == b"given"


def refusal(add):
    with pytest.raises(HttpResponseError) as caught:
        add()
    error = caught.value.model
    return caught.value.status_code, error.code, {value.key: value.value for value in error.error_values}


def test_what_is_refused(mounting, emulator, container):
    client = mounting.client()

    def refused(*mounts, at=client):
        return refusal(lambda: make_pool(at, mount_configuration=list(mounts), wait=False))

    for mount, reason in (
        (blobs(container, account_name="elsewhere"), ACCOUNT),
        (
            models.MountConfiguration(
                nfs_mount_configuration=models.NfsMountConfiguration(source="h:/x", relative_mount_path="x")
            ),
            "blobs only",
        ),
    ):
        status, code, values = refused(mount)
        assert (status, code) == (501, "NotImplementedByEmulator") and reason in values["Reason"]
    status, code, values = refused(blobs(container), at=emulator.client())
    assert (status, code) == (501, "NotImplementedByEmulator") and "--blob-port" in values["Reason"]
    reference = models.BatchNodeIdentityReference(resource_id=IDENTITY)
    status, code, values = refused(blobs(container, identity_reference=reference))
    assert (status, code) == (400, "InvalidPropertyValue") and "identityReference" in values["PropertyName"]
    for path in ("data", "data/below"):
        assert refused(blobs(container), blobs(container, path))[:2] == (400, "InvalidPropertyValue")


def test_by_identity(fuse, secure):
    with BlobServiceClient(secure.blob_url) as service:
        container = service.create_container(f"c{uuid.uuid4().hex}")
        container.upload_blob("in/a.txt", b"by identity")
        system = arm.AzureBlobFileSystemConfiguration(
            account_name=ACCOUNT,
            container_name=container.container_name,
            relative_mount_path="data",
            identity_reference=arm.ComputeNodeIdentityReference(resource_id=IDENTITY),
        )
        mount = arm.MountConfiguration(azure_blob_file_system_configuration=system)
        client = make_identity_pool(secure, IDENTITY, mount_configuration=[mount])
        make_job(client)
        assert run(client, "cat data/in/a.txt; echo x > data/x") == (0, "by identity", "")
        assert container.download_blob("x").readall() == b"x\n"


def test_killed_and_started_again(fuse, tmp_path):
    with running_emulator(blob_port=0, location=tmp_path) as emulator:
        client = emulator.client()
        make_pool(client, mount_configuration=[blobs(new_container(emulator))])
        wait_until(lambda: (tmp_path / "state").exists() and b"idle" in (tmp_path / "state").read_bytes())
        emulator.process.kill()
        emulator.process.wait(timeout=10)
    (left,) = below(tmp_path)
    with running_emulator(blob_port=0, location=tmp_path) as emulator:
        client = emulator.client()
        wait_until(lambda: [node.state for node in client.list_nodes("pool")] == ["idle"])
        assert below(tmp_path) == [left]
        make_job(client)
        assert run(client, "cat data/in/a.txt") == (0, "given", "")
        assert emulator.stop() == 0
    assert below(tmp_path) == []
    # Without Azurite nothing can be mounted any more; the node says so.
    with running_emulator(location=tmp_path) as emulator:
        client = emulator.client()
        wait_until(lambda: [node.state for node in client.list_nodes("pool")] == ["unusable"])
        (node,) = client.list_nodes("pool")
        assert "--blob-port" in node.errors[0].error_details[0].value


@pytest.mark.docker
def test_containers_see_what_is_mounted(fuse, docker_engine, snakemake_image):
    """As on Azure, where the mount is root's: an administrator sees it, and others do with allow_other."""
    with running_emulator(blob_port=0, runner="docker") as emulator:
        container = new_container(emulator)
        client = emulator.client()
        configuration = models.BatchContainerConfiguration(
            type="dockerCompatible", container_image_names=[snakemake_image]
        )
        machine = models.VirtualMachineConfiguration(
            image_reference=VM.image_reference,
            node_agent_sku_id=VM.node_agent_sku_id,
            container_configuration=configuration,
        )
        mounts = [blobs(container, "root"), blobs(container, "all", blobfuse_options="-o allow_other")]
        make_pool(client, virtual_machine_configuration=machine, mount_configuration=mounts)
        make_job(client)
        settings = models.BatchTaskContainerSettings(image_name=snakemake_image)
        admin = models.UserIdentity(auto_user=models.AutoUserSpecification(elevation_level="admin"))
        ran = run(client, "cat all/in/a.txt && echo x > all/x", "user", container_settings=settings)
        assert ran == (0, "given", "")
        assert container.download_blob("x").readall() == b"x\n"
        only = [models.ContainerHostBatchBindMountEntry(source="VfsMounts", is_read_only=False)]
        settings.container_host_batch_bind_mounts = only
        settings.working_directory = "containerImageDefault"
        code, out, errors = run(client, "cat root/in/a.txt", "user-root", container_settings=settings)
        if os.geteuid() == 0:
            assert code == 1 and "Permission denied" in errors
            ran = run(client, "cat */in/a.txt", "admin", container_settings=settings, user_identity=admin)
            assert ran == (0, "givengiven", "")
        else:
            assert (code, out) == (0, "given")


@pytest.fixture
def directory_with_mount(fuse, tmp_path):
    """A node's directory below which another directory is mounted."""
    precious, root = tmp_path / "precious", tmp_path / "n1"
    (root / "fsmounts" / "with space").mkdir(parents=True)
    precious.mkdir()
    (precious / "file").touch()
    point = root / "fsmounts" / "with space"
    command = ["rclone", "--config=", "mount", str(precious), str(point), f"--cache-dir={tmp_path / 'cache'}"]
    server = subprocess.Popen(command, env={"PATH": os.environ["PATH"]})
    try:
        wait_until(point.is_mount)
        yield root, precious, point
    finally:
        unmount_below(tmp_path)
        server.wait(timeout=10)


def test_a_nodes_end_never_deletes_what_is_mounted(directory_with_mount, tmp_path, monkeypatch):
    root, precious, point = directory_with_mount
    assert below(tmp_path) == [point]
    workspace = Workspace(tmp_path)
    with monkeypatch.context() as without:
        without.setenv("PATH", "")
        trash = workspace.discard(root)
        workspace.delete(trash)
        assert (precious / "file").exists() and len(below(tmp_path)) == 1
    workspace.delete(trash)
    assert (precious / "file").exists() and not trash.exists() and below(tmp_path) == []


def test_a_mount_in_use_is_taken_away_too(directory_with_mount, tmp_path):
    _, precious, point = directory_with_mount
    with (point / "file").open():
        assert unmount_below(tmp_path) and not point.is_mount()
    assert (precious / "file").exists()


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install rclone" in mountable(accounts(1)).missing
    (tmp_path / "rclone").symlink_to(shutil.which("true", path=os.defpath) or "/bin/true")
    assert "fuse3" in mountable(accounts(1)).missing
    (tmp_path / "fusermount3").symlink_to("/bin/true")
    monkeypatch.setattr("azure_batch_emulator.nodes.mounts._DEVICE", Path("/nowhere"))
    assert "/nowhere" in mountable(accounts(1)).missing
    assert "--blob-port" in mountable(()).missing


@pytest.mark.parametrize(
    ("given", "words", "left"),
    [
        ("", [], []),
        ("-o allow_other", ["--allow-other"], []),
        ("-o ro,allow_other,attr_timeout=1", ["--read-only", "--allow-other"], ["attr_timeout=1"]),
        ("--read-only --tmp-path=/x -o", ["--read-only"], ["--tmp-path=/x", ""]),
        ("--config=/etc/x", [], ["--config=/etc/x"]),
        ("'open", [], ["'open"]),
    ],
)
def test_options_of_blobfuse(given, words, left):
    assert translate(given) == (words, left)
