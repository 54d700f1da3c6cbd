"""Managed identities of pools: tokens for tasks, and files that come and go by identity, against Azurite over https."""

import json
import sys
import uuid

import jwt
import pytest
import requests
from azure.batch import models
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.batch import BatchManagementClient
from azure.mgmt.batch import models as arm
from azure.storage.blob import BlobServiceClient
from support.emulator import wait_until

from azure_batch_emulator.identity import directory, managed

from ..helpers import completed, make_job, make_pool, shell, task, text
from ..management.test_management import IDENTITY, PLACE, resource
from .test_tokens import credential

OTHER = IDENTITY.replace("robot", "other")
UPPER = IDENTITY.replace("/resourceGroups/", "/RESOURCEGROUPS/")


def reference(resource_id=IDENTITY):
    return models.BatchNodeIdentityReference(resource_id=resource_id)


def make_identity_pool(emulator, *identities, pool_id="pool", **properties):
    given = {one: arm.UserAssignedIdentities() for one in identities}
    identity = arm.BatchPoolIdentity(type="UserAssigned", user_assigned_identities=given)
    with BatchManagementClient(credential(emulator), directory.SUBSCRIPTION, emulator.url) as client:
        client.pool.create(*PLACE, pool_id, resource(identity=identity, **properties))
    wait_until(lambda: [n.state for n in emulator.client().list_nodes(pool_id)] == ["idle"])
    return emulator.client()


@pytest.fixture
def container(secure):
    with BlobServiceClient(secure.blob_url.partition("?")[0], credential(secure)) as service:
        container = service.create_container(f"c{uuid.uuid4().hex}")
        yield container
        container.delete_container()


def run(client, task_id="t", command="true", **options):
    client.create_task("job", task(task_id, command, **options))
    done = completed(client, task_id=task_id)
    return done, text(
        client.download_task_file("job", task_id, "stdout.txt")
    ) if done.execution_info.exit_code is not None else ""


def test_files_come_and_go_with_a_token_alone(secure, container):
    client = make_identity_pool(secure, IDENTITY)
    make_job(client)
    container.upload_blob("in/one.txt", b"1")
    container.upload_blob("in/two.txt", b"2")
    with pytest.raises(HttpResponseError):
        BlobServiceClient(secure.blob_url.partition("?")[0]).get_blob_client(
            container.container_name, "in/one.txt"
        ).get_blob_properties()
    files = [
        models.ResourceFile(
            http_url=f"{container.url}/in/one.txt", file_path="a", identity_reference=reference()
        ),
        models.ResourceFile(
            storage_container_url=container.url, file_path="all", identity_reference=reference(UPPER)
        ),
    ]
    output = models.OutputFile(
        file_pattern="out.txt",
        destination=models.OutputFileDestination(
            container=models.OutputFileBlobContainerDestination(
                container_url=container.url, path="result", identity_reference=reference()
            )
        ),
        upload_options=models.OutputFileUploadConfiguration(upload_condition="tasksuccess"),
    )
    done, _ = run(
        client,
        command=shell("cat a all/in/one.txt all/in/two.txt > out.txt"),
        resource_files=files,
        output_files=[output],
    )
    assert done.execution_info.result == "success", done.execution_info.failure_info
    assert container.download_blob("result").readall() == b"112"
    told = json.dumps(done.as_dict())
    assert "Bearer" not in told and "sig=" not in told


@pytest.mark.parametrize("where", ["resourceFiles[0]", "outputFiles[0]/destination/container"])
def test_only_the_pools_own_identities_can_be_referred_to(secure, where):
    client = make_identity_pool(secure, IDENTITY)
    make_pool(client, "plain", nodes=0)
    make_job(client)
    make_job(client, "plainjob", "plain")
    make_job(client, "later", "not-yet")

    def body(identity):
        url = "https://127.0.0.1:1/devstoreaccount1/c"
        if where.startswith("resource"):
            return {
                "resource_files": [
                    models.ResourceFile(storage_container_url=url, identity_reference=identity)
                ]
            }
        container = models.OutputFileBlobContainerDestination(container_url=url, identity_reference=identity)
        return {
            "output_files": [
                models.OutputFile(
                    file_pattern="*.nothing",
                    destination=models.OutputFileDestination(container=container),
                    upload_options=models.OutputFileUploadConfiguration(upload_condition="taskcompletion"),
                )
            ]
        }

    for job, identity in (("job", reference(OTHER)), ("plainjob", reference())):
        with pytest.raises(HttpResponseError) as refused:
            client.create_task(job, task("t", **body(identity)))
        assert refused.value.status_code == 400 and refused.value.model.code == "InvalidPropertyValue"
        details = {d.key: d.value for d in refused.value.model.error_values}
        assert details["PropertyName"] == f"{where}/identityReference/resourceId"
    with pytest.raises(HttpResponseError, match="MissingRequiredProperty"):
        client.create_task("job", task("t", **body(models.BatchNodeIdentityReference())))
    # A task that came before its pool is checked when it is its turn.
    client.create_task("later", task("t", **body(reference())))
    make_pool(client, "not-yet")
    failure = completed(client, "later", "t").execution_info.failure_info
    assert failure.code == "TaskSchedulingConstraintFailed"


def test_a_task_asks_for_tokens_with_the_unmodified_library(secure, container):
    client = make_identity_pool(secure, IDENTITY)
    make_job(client)
    script = (
        "from azure.identity import DefaultAzureCredential; from azure.storage.blob import BlobClient;"
        f"c = BlobClient.from_blob_url('{container.url}/from-task', DefaultAzureCredential());"
        "c.upload_blob(b'by identity'); print(c.url)"
    )
    done, out = run(client, command=f'{sys.executable} -c "{script}"')
    stderr = text(client.download_task_file("job", "t", "stderr.txt"))
    assert done.execution_info.exit_code == 0, stderr
    assert out.strip() == f"{container.url}/from-task"
    assert container.download_blob("from-task").readall() == b"by identity"


def endpoint(client, task_id="vars", prefix="job"):
    _, out = run(client, task_id, shell("echo $IDENTITY_ENDPOINT $IDENTITY_HEADER"))
    return out.split()


def test_which_of_several_identities(secure, monkeypatch):
    client = make_identity_pool(secure, IDENTITY, OTHER)
    make_job(client)
    url, header = endpoint(client)
    monkeypatch.setenv("IDENTITY_ENDPOINT", url)
    monkeypatch.setenv("IDENTITY_HEADER", header)

    def claims(**options):
        with ManagedIdentityCredential(**options) as asking:
            given = asking.get_token("https://storage.azure.com/.default").token
        return jwt.decode(given, options={"verify_signature": False})

    one = claims(client_id=managed.client_id(OTHER))
    assert (one["xms_mirid"], one["aud"]) == (OTHER, "https://storage.azure.com")
    assert claims(identity_config={"resource_id": IDENTITY})["appid"] == managed.client_id(IDENTITY)
    assert claims(identity_config={"object_id": managed.principal_id(OTHER)})["oid"] == managed.principal_id(
        OTHER
    )

    def refused(status, headers=None, **query):
        query = {"api-version": "2019-08-01", "resource": "https://storage.azure.com"} | query
        given = {"X-IDENTITY-HEADER": header} if headers is None else headers
        response = requests.get(url, params=query, headers=given, timeout=30)
        assert response.status_code == response.json()["statusCode"] == status
        return response.json()["message"]

    assert "several" in refused(400)
    assert "client_id" in refused(400, client_id=str(uuid.uuid4()))
    assert "Only one" in refused(400, client_id="x", object_id="y")
    assert "example" in refused(400, resource="https://example.org", client_id=managed.client_id(OTHER))
    assert "api-version" in refused(400, **{"api-version": "1999-01-01"})
    for forged in ({}, {"X-IDENTITY-HEADER": "abc"}, {"X-IDENTITY-HEADER": header[:-4] + "AAAA"}):
        refused(403, headers=forged)
    # The header is good for as long as the node is there.
    client.begin_delete_job("job", polling_interval=0.1).result()
    client.begin_delete_pool("pool", polling_interval=0.1).result()
    assert "no managed identity" in refused(400)


def test_without_identities_there_is_no_endpoint(secure):
    client = secure.client()
    make_pool(client)
    make_job(client)
    assert endpoint(client) == []


def test_a_tasks_own_variables_win(secure):
    client = make_identity_pool(secure, IDENTITY)
    make_job(client)
    own = [
        models.EnvironmentSetting(name="IDENTITY_ENDPOINT", value="mine"),
        models.EnvironmentSetting(name="REQUESTS_CA_BUNDLE", value="ours"),
    ]
    _, out = run(
        client,
        command=shell("echo $IDENTITY_ENDPOINT $REQUESTS_CA_BUNDLE; ls $SSL_CERT_FILE"),
        environment_settings=own,
    )
    first, bundle = out.splitlines()
    assert first == "mine ours" and bundle.endswith("ca-bundle.pem")
