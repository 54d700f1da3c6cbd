"""Application packages: the directory they come from, and nodes and tasks that use them."""

import json
import re
import zipfile

import pytest
from azure.batch import models
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from support.emulator import running_emulator, wait_until

from azure_batch_emulator.identity.issuer import Issuer
from azure_batch_emulator.nodes.access import NodeAccess
from azure_batch_emulator.nodes.linked_storage import LinkedStorage
from azure_batch_emulator.nodes.packages import Installer, PackageError, PackageStore, variables_of

from ..helpers import completed, make_job, make_pool, shell, task, text
from .coverage import covers


def package(directory, name, version, **files):
    (directory / name).mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(directory / name / f"{version}.zip", "w") as archive:
        for path, content in files.items():
            archive.writestr(f"bin/{path}", content)


def settings(directory, name, **values):
    (directory / name / "application.json").write_text(json.dumps(values))


@pytest.fixture(scope="module")
def emulator_process(tmp_path_factory):
    directory = tmp_path_factory.mktemp("applications")
    package(directory, "Tool-x", "1.0", hello="one")
    package(directory, "Tool-x", "2.0-b", hello="two")
    settings(directory, "Tool-x", displayName="A tool", defaultVersion="2.0-b")
    package(directory, "other", "3", hello="three")
    (directory / "broken").mkdir()
    (directory / "broken" / "1.zip").write_text("this is no archive")
    with running_emulator(applications=directory) as running:
        yield running


def reference(name, version=None):
    return models.BatchApplicationPackageReference(application_id=name, version=version)


@covers("list_applications", "get_application")
def test_applications_are_listed(client):
    listed = list(client.list_applications(max_results=1))
    assert [(a.id, a.display_name, a.versions) for a in listed] == [
        ("broken", "broken", ["1"]),
        ("other", "other", ["3"]),
        ("Tool-x", "A tool", ["1.0", "2.0-b"]),
    ]
    assert client.get_application("tool-X").versions == ["1.0", "2.0-b"]
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_application("none")
    assert caught.value.error.code == "ApplicationNotFound"


def test_packages_of_pool_and_task(client):
    qualified = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Batch/batchAccounts/devbatch/applications/Tool-x"
    start = models.BatchStartTask(command_line=shell("cat $AZ_BATCH_APP_PACKAGE_tool_x/bin/hello"))
    make_pool(client, application_package_references=[reference(qualified)], start_task=start)
    assert client.get_pool("pool").application_package_references[0].application_id == qualified
    make_job(client)
    script = "cat $AZ_BATCH_APP_PACKAGE_Tool_x_2_0_b/bin/hello $AZ_BATCH_APP_PACKAGE_other_3/bin/hello; env"
    client.create_task(
        "job", task("with", shell(script), application_package_references=[reference("other", "3")])
    )
    client.create_task("job", task("without", "env"))
    assert completed(client, task_id="with").execution_info.exit_code == 0
    completed(client, task_id="without")
    output = text(client.download_task_file("job", "with", "stdout.txt"))
    assert output.startswith("twothree")
    assert "AZ_BATCH_APP_PACKAGE_other=" not in output, "it has no default version"
    output = text(client.download_task_file("job", "without", "stdout.txt"))
    assert "AZ_BATCH_APP_PACKAGE_tool_x=" in output and "other" not in output
    (node,) = client.list_nodes("pool")
    assert text(client.download_node_file("pool", node.id, "startup/stdout.txt")) == "two"
    names = {file.name for file in client.list_node_files("pool", node.id, recursive=True)}
    unpacked = {re.sub(r"\d{4}(-\d\d){4}", "TIME", name) for name in names}
    assert {"applications/tool-x2.0-bTIME/bin/hello", "applications/other3TIME/bin/hello"} <= unpacked


@pytest.mark.parametrize("unmet", [reference("none", "1"), reference("other"), reference("Tool-x", "9")])
def test_a_pools_references_must_be_met(client, unmet):
    def refused(change):
        with pytest.raises(ResourceExistsError) as caught:  # this is what the client makes of a 409
            change()
        assert caught.value.error.code == "InvalidApplicationPackageReferences"
        assert caught.value.response.json()["values"][0]["key"] == ":".join(
            filter(None, (unmet.application_id, unmet.version))
        )

    refused(lambda: make_pool(client, application_package_references=[reference("other", "3"), unmet][::-1]))
    make_pool(client, nodes=0, application_package_references=[reference("other", "3")])
    update = models.BatchPoolUpdateOptions(application_package_references=[unmet])
    refused(lambda: client.update_pool("pool", update))
    client.update_pool(
        "pool", models.BatchPoolUpdateOptions(application_package_references=[reference("Tool-x")])
    )
    assert client.get_pool("pool").application_package_references[0].application_id == "Tool-x"
    client.replace_pool_properties(
        "pool", models.BatchPoolReplaceOptions(application_package_references=[], metadata=[])
    )
    assert not client.get_pool("pool").application_package_references


@pytest.mark.parametrize("unmet", [reference("none", "1"), reference("other"), reference("broken", "1")])
def test_a_task_whose_package_cannot_be_had_fails(client, unmet):
    make_pool(client)
    make_job(client)
    client.create_task("job", task("task", "true", application_package_references=[unmet]))
    execution = completed(client).execution_info
    assert (execution.exit_code, execution.failure_info.code) == (None, "ApplicationPackageError")
    details = {detail.name: detail.value for detail in execution.failure_info.details}
    assert details["ApplicationPackageReference"].startswith(unmet.application_id)


def test_a_node_whose_package_cannot_be_unpacked_is_unusable(client):
    make_pool(client, wait=False, application_package_references=[reference("broken", "1")])
    wait_until(lambda: [node.state for node in client.list_nodes("pool")] == ["unusable"])
    (node,) = client.list_nodes("pool")
    assert node.errors[0].code == "ApplicationPackageError"


def test_names_of_variables():
    """Both spellings are recorded: as the user wrote it, and all in lower case."""
    assert variables_of("MyBatchApplication", "1.5") == [
        "AZ_BATCH_APP_PACKAGE_MyBatchApplication_1_5",
        "AZ_BATCH_APP_PACKAGE_mybatchapplication_1_5",
    ]
    assert variables_of("agent-linux-x64", "1.1.46.0") == ["AZ_BATCH_APP_PACKAGE_agent_linux_x64_1_1_46_0"]


def test_without_a_directory_there_are_none():
    store = PackageStore()
    store.load()
    assert store.applications == {}


@pytest.mark.parametrize(
    ("name", "version", "values"),
    [("a.b", "1", {}), ("a", "1 2", {}), ("a", "1", {"defaultVersion": "2"}), ("a", "1", {"colour": "red"})],
)
def test_directories_that_are_refused(tmp_path, name, version, values):
    package(tmp_path, name, version)
    settings(tmp_path, name, **values)
    with pytest.raises(PackageError, match=name):
        PackageStore(tmp_path).load()


def test_limits_of_an_account(tmp_path):
    for number in range(20):
        (tmp_path / f"app{number}").mkdir()
    for number in range(40):
        (tmp_path / "app0" / f"{number}.zip").touch()
    PackageStore(tmp_path).load()
    (tmp_path / "app0" / "one-more.zip").touch()
    with pytest.raises(PackageError, match="41 versions"):
        PackageStore(tmp_path).load()
    (tmp_path / "one-more").mkdir()
    with pytest.raises(PackageError, match="21 applications"):
        PackageStore(tmp_path).load()


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(PackageError, match="--applications"):
        PackageStore(tmp_path / "none").load()


def test_an_archive_cannot_write_outside_its_directory(tmp_path):
    package(tmp_path / "in", "a", "1", **{"../../../../out": "x"})
    store = PackageStore(tmp_path / "in")
    store.load()
    (tmp_path / "node" / "applications").mkdir(parents=True)
    installer = Installer(store, LinkedStorage(None, NodeAccess(Issuer())), lambda: store.applications)
    installed = installer.install([{"applicationId": "A", "version": "1"}], tmp_path / "node", "pool")
    ((name, directory),) = installed.items()
    assert name == "AZ_BATCH_APP_PACKAGE_a_1" and directory.startswith(str(tmp_path / "node/applications/a1"))
    assert not list(tmp_path.glob("out")) and not (tmp_path / "node" / "out").exists()
