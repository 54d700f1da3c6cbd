"""Application packages from their making to a task that uses them, with the real clients: azure-mgmt-batch over https,
the upload with azure-storage-blob, azure-batch for the pool."""

import io
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from azure.batch import models as batch_models
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.batch import BatchManagementClient, models
from azure.storage.blob import BlobClient
from support.emulator import running_emulator

from azure_batch_emulator.identity import directory

from ..helpers import completed, make_job, make_pool, shell, task, text
from ..identity.test_tokens import credential
from .test_management import PLACE


@pytest.fixture
def client(secure):
    with BatchManagementClient(credential(secure), directory.SUBSCRIPTION, secure.url) as client:
        yield client
        for application in list(client.application.list(*PLACE)):
            for package in list(client.application_package.list(*PLACE, application.name)):
                client.application_package.delete(*PLACE, application.name, package.name)
            client.application.delete(*PLACE, application.name)


def archive(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("bin/hello", content)
    return file.getvalue()


def upload(package, content):
    with BlobClient.from_blob_url(package.properties.storage_url) as blob:
        blob.upload_blob(archive(content), overwrite=True)


def provide(client, name, version, content):
    """As the az CLI does it: make, upload, activate."""
    upload(client.application_package.create(*PLACE, name, version), content)
    return client.application_package.activate(*PLACE, name, version, {"format": "zip"})


def refused(call, *arguments):
    with pytest.raises(HttpResponseError) as caught:
        call(*PLACE, *arguments)
    assert caught.value.error.target == "BatchAccount"
    return caught.value.status_code, caught.value.error.code


def reference(name, version=None):
    return batch_models.BatchApplicationPackageReference(application_id=name, version=version)


def test_a_package_from_its_upload_to_a_task(client, secure):
    batch = secure.client()
    made = client.application.create(*PLACE, "Tool")
    assert (made.name, made.properties.allow_updates) == ("Tool", True)
    assert made.properties.display_name is made.properties.default_version is None
    assert made.id.endswith("/batchAccounts/devbatch/applications/Tool") and made.etag.startswith('W/"0x')
    assert list(batch.list_applications()) == [], "there is nothing yet that a node could use"

    pending = client.application_package.create(*PLACE, "tool", "1.0")
    assert (pending.name, pending.properties.state, pending.properties.format) == ("1.0", "Pending", None)
    left = pending.properties.storage_url_expiry - datetime.now(UTC)
    assert timedelta(hours=3) < left <= timedelta(hours=4)
    assert refused(client.application_package.activate, "tool", "1.0", {"format": "zip"})[0] == 409
    upload(pending, "one")
    active = client.application_package.activate(*PLACE, "tool", "1.0", {"format": "zip"})
    assert (active.properties.state, active.properties.format) == ("Active", "zip")
    assert active.properties.last_activation_time
    assert active.id.endswith("/applications/Tool/versions/1.0")
    assert active.type == "Microsoft.Batch/batchAccounts/applications/versions"
    assert [(a.id, a.versions) for a in batch.list_applications()] == [("Tool", ["1.0"])]

    with pytest.raises(HttpResponseError) as unmet:
        make_pool(batch, application_package_references=[reference("Tool"), reference("none", "1")])
    assert unmet.value.error.code == "InvalidApplicationPackageReferences"
    assert {each["key"]: each["value"] for each in unmet.value.response.json()["values"]} == {
        "Tool": "The specified application package does not have a default version set.",
        "none:1": "The specified application package does not exist.",
    }
    body = models.Application(properties=models.ApplicationProperties(default_version="1.0"))
    assert client.application.update(*PLACE, "tool", body).properties.default_version == "1.0"
    provide(client, "tool", "2.0", "two")

    make_pool(batch, application_package_references=[reference("tool")])
    make_job(batch)
    script = shell("cat $AZ_BATCH_APP_PACKAGE_tool/bin/hello $AZ_BATCH_APP_PACKAGE_tool_2_0/bin/hello")
    batch.create_task("job", task("t", script, application_package_references=[reference("Tool", "2.0")]))
    assert completed(batch, task_id="t").execution_info.exit_code == 0
    assert text(batch.download_task_file("job", "t", "stdout.txt")) == "onetwo"


def test_what_is_changed_and_what_is_kept(client):
    body = models.Application(
        properties={"displayName": "A tool", "allowUpdates": False}, tags={"team": "blue"}
    )
    made = client.application.create(*PLACE, "tool", body)
    assert (made.properties.display_name, made.tags) == ("A tool", {"team": "blue"})
    first = provide(client, "tool", "1", "a")
    assert refused(client.application_package.create, "tool", "1") == (409, "ApplicationPackageExists")
    changed = client.application.update(
        *PLACE, "tool", {"properties": {"allowUpdates": True, "defaultVersion": "1"}}
    )
    assert (changed.properties.display_name, changed.tags) == ("A tool", {"team": "blue"})
    again = client.application_package.create(*PLACE, "tool", "1")
    assert again.properties.state == "Active" and again.etag != first.etag
    assert again.properties.storage_url.partition("?")[0] == first.properties.storage_url.partition("?")[0]
    assert client.application.create(*PLACE, "tool").properties.display_name is None
    assert [p.name for p in client.application_package.list(*PLACE, "tool")] == ["1"], "packages stay"
    with BlobClient.from_blob_url(first.properties.storage_url) as blob:
        client.application_package.delete(*PLACE, "tool", "1")
        with pytest.raises(ResourceNotFoundError):
            blob.get_blob_properties()
    client.application_package.delete(*PLACE, "tool", "1")
    assert client.application.get(*PLACE, "tool").properties.default_version is None


def test_what_is_refused(client):
    assert refused(client.application.get, "none") == (404, "ApplicationNotFound")
    assert refused(client.application_package.create, "none", "1") == (404, "ApplicationNotFound")
    client.application.create(*PLACE, "tool")
    assert refused(client.application_package.get, "tool", "1") == (404, "ApplicationPackageNotFound")
    assert refused(client.application_package.create, "tool", ".1") == (400, "InvalidPropertyValue")
    assert refused(client.application.create, "a tool") == (400, "InvalidPropertyValue")
    client.application_package.create(*PLACE, "tool", "1")
    wrong = (
        {"properties": {"defaultVersion": "2"}},
        {"properties": {"allowUpdates": "yes"}},
        {"properties": []},
        {"tags": {"a": 1}},
    )
    for body in wrong:
        assert refused(client.application.update, "tool", body) == (400, "InvalidPropertyValue")
    assert refused(client.application.update, "tool", {"colour": 1}) == (400, "InvalidRequestBody")
    for body in ({"format": "tar"}, {}):
        assert refused(client.application_package.activate, "tool", "1", body)[0] == 400
    assert refused(client.application.delete, "tool") == (409, "OperationInvalidForCurrentState")
    client.application.delete(*PLACE, "none")


def test_lists_and_their_limits(client):
    for number in range(20):
        client.application.create(*PLACE, f"a{number:02}")
    assert refused(client.application.create, "more") == (409, "ApplicationQuotaReached")
    assert [a.name for a in client.application.list(*PLACE, maxresults=8)] == [f"a{n:02}" for n in range(20)]
    for number in range(40):
        client.application_package.create(*PLACE, "a00", f"1.{number:02}")
    assert refused(client.application_package.create, "a00", "2") == (409, "ApplicationPackageQuotaReached")
    names = [p.name for p in client.application_package.list(*PLACE, "a00", maxresults=15)]
    assert names == [f"1.{n:02}" for n in range(40)]


def test_packages_survive_a_restart_and_those_of_the_directory_stay_as_they_are(pem, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem.ca))
    (tmp_path / "given" / "fixed").mkdir(parents=True)
    (tmp_path / "given" / "fixed" / "1.zip").write_bytes(archive("fixed"))
    options = {
        "cert": pem.cert, "key": pem.key, "ca": pem.ca, "blob_port": 0,
        "location": tmp_path / "location", "applications": tmp_path / "given",
    }  # fmt: skip
    with running_emulator(**options) as running:
        client = BatchManagementClient(credential(running), directory.SUBSCRIPTION, running.url)
        client.application.create(*PLACE, "tool")
        provide(client, "tool", "1", "kept")
        assert [p.name for p in client.application_package.list(*PLACE, "fixed")] == ["1"]
        for change in (client.application.delete, client.application.create):
            assert refused(change, "Fixed") == (501, "NotImplementedByEmulator")
        keys = client.batch_account.regenerate_key(*PLACE, {"keyName": "Primary"})
    with running_emulator(**options) as running:
        running.key = keys.primary
        batch = running.client()
        make_pool(batch, application_package_references=[reference("tool", "1"), reference("fixed", "1")])
        make_job(batch)
        script = shell("cat $AZ_BATCH_APP_PACKAGE_tool_1/bin/hello $AZ_BATCH_APP_PACKAGE_fixed_1/bin/hello")
        batch.create_task("job", task("t", script))
        assert completed(batch, task_id="t").execution_info.exit_code == 0
        assert text(batch.download_task_file("job", "t", "stdout.txt")) == "keptfixed"


def test_keys_are_made_anew(pem, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem.ca))
    with running_emulator(cert=pem.cert, key=pem.key, ca=pem.ca) as running:
        client = BatchManagementClient(credential(running), directory.SUBSCRIPTION, running.url)
        published = running.key
        first = client.batch_account.regenerate_key(*PLACE, {"keyName": "Primary"})
        assert first.primary != published == first.secondary
        for key in (published, first.primary):
            running.key = key
            assert list(running.client().list_pools()) == []
        both = client.batch_account.regenerate_key(*PLACE, {"keyName": "Secondary"})
        assert both.primary == first.primary and both.secondary not in (published, first.primary)
        assert client.batch_account.get_keys(*PLACE) == both
        running.key = published
        with pytest.raises(HttpResponseError) as shut:
            list(running.client().list_pools())
        assert (shut.value.status_code, shut.value.error.code) == (403, "AuthenticationFailed")
        assert refused(client.batch_account.regenerate_key, {"keyName": "Third"}) == (
            400,
            "InvalidPropertyValue",
        )
        # Nothing is linked to this account.
        assert client.batch_account.get(*PLACE).properties.auto_storage is None
        client.application.create(*PLACE, "tool")
        for missing in (
            client.application_package.create,
            client.batch_account.synchronize_auto_storage_keys,
        ):
            arguments = ("tool", "1") if missing == client.application_package.create else ()
            assert refused(missing, *arguments) == (404, "StorageAccountNotFound")


def test_the_linked_account_and_tags(client):
    linked = client.batch_account.get(*PLACE).properties.auto_storage
    assert linked.storage_account_id.endswith("/storageAccounts/devstoreaccount1")
    client.batch_account.synchronize_auto_storage_keys(*PLACE)
    assert client.batch_account.get(*PLACE).properties.auto_storage.last_key_sync >= linked.last_key_sync
    assert client.batch_account.update(*PLACE, {"tags": {"a": "b"}}).tags == {"a": "b"}
    assert refused(client.batch_account.update, {"properties": {"publicNetworkAccess": "Disabled"}})[0] == 501
    assert client.batch_account.update(*PLACE, {"tags": {}}).tags == {}
    assert list(client.private_endpoint_connection.list_by_batch_account(*PLACE)) == []
    assert list(client.network_security_perimeter.list_configurations(*PLACE)) == []


def test_an_existing_package_is_not_overwritten_by_mistake(client):
    client.application.create(*PLACE, "tool", headers={"If-None-Match": "*"})
    with pytest.raises(HttpResponseError, match="ConditionNotMet"):
        client.application.create(*PLACE, "tool", headers={"If-None-Match": "*"})
