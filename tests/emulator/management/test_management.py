"""Resource Manager's side of the account, with the real azure-mgmt-batch over https."""

from datetime import timedelta

import pytest
import requests
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.mgmt.batch import BatchManagementClient, models
from support.emulator import wait_until

from azure_batch_emulator.identity import directory, managed
from azure_batch_emulator.management.api_versions import API_VERSIONS

from ..helpers import completed, make_job, task
from ..identity.test_tokens import credential, token

GROUP, ACCOUNT = "devbatch", "devbatch"
PLACE = (GROUP, ACCOUNT)
IDENTITY = (
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/any"
    "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/robot"
)
FORMULA = "$TargetDedicatedNodes = 0"


@pytest.fixture
def client(secure):
    with BatchManagementClient(credential(secure), directory.SUBSCRIPTION, secure.url) as client:
        yield client


def resource(nodes=1, scale=None, identity=None, **properties):
    machine = models.VirtualMachineConfiguration(
        image_reference=models.ImageReference(
            publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404", version="latest"
        ),
        node_agent_sku_id="batch.node.ubuntu 24.04",
    )
    fixed = models.FixedScaleSettings(target_dedicated_nodes=nodes, resize_timeout=timedelta(minutes=10))
    return models.Pool(
        identity=identity,
        properties=models.PoolProperties(
            **{
                "vm_size": "Standard_D2s_v3",
                "deployment_configuration": models.DeploymentConfiguration(
                    virtual_machine_configuration=machine
                ),
                "scale_settings": scale or models.ScaleSettings(fixed_scale=fixed),
            }
            | properties
        ),
    )


def robot():
    return models.BatchPoolIdentity(
        type="UserAssigned", user_assigned_identities={IDENTITY: models.UserAssignedIdentities()}
    )


def steady(client, name="pool"):
    wait_until(lambda: client.pool.get(*PLACE, name).properties.allocation_state == "Steady")


def test_a_pool_with_an_identity_from_its_making_to_its_end(client, secure):
    made = client.pool.create(
        *PLACE,
        "Pool-1",
        resource(
            identity=robot(),
            display_name="Mine",
            inter_node_communication="Disabled",
            task_slots_per_node=2,
            task_scheduling_policy=models.TaskSchedulingPolicy(node_fill_type="Pack"),
            metadata=[models.MetadataItem(name="a", value="b")],
            user_accounts=[models.UserAccount(name="me", password="secret", elevation_level="Admin")],
            start_task=models.StartTask(
                command_line="true",
                wait_for_success=True,
                user_identity=models.UserIdentity(
                    auto_user=models.AutoUserSpecification(scope="Pool", elevation_level="Admin")
                ),
            ),
        ),
    )
    assert made.id.endswith("/batchAccounts/devbatch/pools/Pool-1") and made.name == "Pool-1"
    assert made.type == "Microsoft.Batch/batchAccounts/pools" and made.etag.startswith('W/"0x')
    shown = made.properties
    assert shown.provisioning_state == models.PoolProvisioningState.SUCCEEDED
    assert shown.task_scheduling_policy.node_fill_type == models.ComputeNodeFillType.PACK
    assert shown.start_task.user_identity.auto_user.elevation_level == models.ElevationLevel.ADMIN
    assert shown.inter_node_communication == models.InterNodeCommunicationState.DISABLED
    machine = shown.deployment_configuration.virtual_machine_configuration
    assert machine.node_agent_sku_id == "batch.node.ubuntu 24.04" and machine.image_reference.sku == "2404"
    assert shown.scale_settings.fixed_scale.resize_timeout == timedelta(minutes=10)
    assert shown.resize_operation_status.target_dedicated_nodes == 1
    assert not shown.user_accounts[0].password
    identity = made.identity.user_assigned_identities[IDENTITY]
    assert identity.client_id == managed.client_id(IDENTITY) and identity.principal_id

    # It is the same pool that the Batch service knows.
    batch = secure.client()
    same = batch.get_pool("pool-1")
    assert same.identity.type == "UserAssigned"
    assert same.identity.user_assigned_identities[0].resource_id == IDENTITY
    assert (same.task_slots_per_node, same.display_name, same.metadata[0].value) == (2, "Mine", "b")
    make_job(batch, "job", "pool-1")
    batch.create_task("job", task("t"))
    assert completed(batch, task_id="t").execution_info.exit_code == 0

    assert [p.name for p in client.pool.list_by_batch_account(*PLACE)] == ["Pool-1"]
    client.pool.begin_delete(*PLACE, "pool-1").result(timeout=30)
    with pytest.raises(ResourceNotFoundError) as gone:
        client.pool.get(*PLACE, "pool-1")
    assert gone.value.error.code == "PoolNotFound" and gone.value.error.target == "BatchAccount"
    client.pool.begin_delete(*PLACE, "pool-1").result(timeout=30)


def test_putting_again_changes_what_can_be_changed(client):
    client.pool.create(*PLACE, "pool", resource(display_name="old", metadata=[{"name": "a", "value": "1"}]))
    steady(client)
    again = client.pool.get(*PLACE, "pool")
    # What was read can be sent back as it is.
    assert client.pool.create(*PLACE, "pool", again).properties.display_name == "old"
    changed = client.pool.create(*PLACE, "pool", resource(nodes=2))
    assert changed.properties.display_name is None and changed.properties.metadata is None
    assert changed.properties.allocation_state == "Resizing"
    steady(client)
    assert client.pool.get(*PLACE, "pool").properties.current_dedicated_nodes == 2
    with pytest.raises(HttpResponseError) as refused:
        client.pool.create(*PLACE, "pool", resource(nodes=3, vm_size="Standard_D4s_v3"))
    assert (refused.value.status_code, refused.value.error.code) == (400, "PropertyCannotBeUpdated")
    details = {d.code: d.message for d in refused.value.error.details}
    assert (details["PropertyName"], details["PropertyPath"]) == ("vmSize", "properties.vmSize")
    assert client.pool.get(*PLACE, "pool").properties.scale_settings.fixed_scale.target_dedicated_nodes == 2


def test_updates_keep_what_they_do_not_name(client):
    client.pool.create(*PLACE, "pool", resource(nodes=0, display_name="kept"))
    updated = client.pool.update(
        *PLACE,
        "pool",
        models.Pool(
            tags={"team": "blue"},
            identity=robot(),
            properties=models.PoolProperties(metadata=[models.MetadataItem(name="x", value="y")]),
        ),
    )
    assert updated.properties.display_name == "kept" and updated.properties.metadata[0].value == "y"
    assert updated.tags == {"team": "blue"} and list(updated.identity.user_assigned_identities) == [IDENTITY]
    without = client.pool.update(
        *PLACE, "pool", models.Pool(identity=models.BatchPoolIdentity(type="None"), properties={})
    )
    assert without.identity is None and without.tags == {"team": "blue"}


def test_scaling_by_formula_and_back(client):
    auto = models.AutoScaleSettings(formula=FORMULA, evaluation_interval=timedelta(minutes=5))
    made = client.pool.create(
        *PLACE, "pool", resource(scale=models.ScaleSettings(auto_scale=auto))
    ).properties.scale_settings
    assert made.auto_scale.formula == FORMULA and made.fixed_scale is None
    run = wait_until(lambda: client.pool.get(*PLACE, "pool").properties.auto_scale_run)
    assert "$TargetDedicatedNodes=0" in run.results and run.evaluation_time
    off = client.pool.disable_auto_scale(*PLACE, "pool").properties.scale_settings
    assert off.auto_scale is None and off.fixed_scale.target_dedicated_nodes == 0
    both = models.ScaleSettings(auto_scale=auto, fixed_scale=models.FixedScaleSettings())
    with pytest.raises(HttpResponseError, match="InvalidPropertyValue"):
        client.pool.create(*PLACE, "other", resource(scale=both))
    with pytest.raises(HttpResponseError, match="AutoScalingFormulaSyntaxError"):
        bad = models.AutoScaleSettings(formula="$x = (")
        client.pool.create(*PLACE, "other", resource(scale=models.ScaleSettings(auto_scale=bad)))


def test_stopping_a_resize(client):
    client.pool.create(*PLACE, "pool", resource(nodes=0))
    with pytest.raises(ResourceExistsError) as refused:
        client.pool.stop_resize(*PLACE, "pool")
    assert refused.value.error.code == "OperationInvalidForCurrentState"


def test_conditions(client):
    missing = {"match_condition": MatchConditions.IfMissing}
    first = client.pool.create(*PLACE, "pool", resource(nodes=0), **missing)
    with pytest.raises(ResourceExistsError):
        client.pool.create(*PLACE, "pool", resource(nodes=0), **missing)
    with pytest.raises(ResourceNotFoundError):
        client.pool.create(*PLACE, "none", resource(nodes=0), match_condition=MatchConditions.IfPresent)
    unchanged = {"match_condition": MatchConditions.IfNotModified, "etag": first.etag}
    body = models.Pool(properties=models.PoolProperties(display_name="new"))
    client.pool.update(*PLACE, "pool", body, **unchanged)
    with pytest.raises(ResourceModifiedError):
        client.pool.update(*PLACE, "pool", body, **unchanged)


def test_lists_are_filtered_cut_down_and_paged(client):
    for i in range(5):
        client.pool.create(*PLACE, f"p{i}", resource(nodes=0, display_name=f"number {i}"))
    names = [p.name for p in client.pool.list_by_batch_account(*PLACE, maxresults=2)]
    assert names == [f"p{i}" for i in range(5)]
    wanted = "startswith(name, 'p') and properties/allocationState eq 'Steady' and name ne 'p3'"
    steady(client, "p4")
    found = list(client.pool.list_by_batch_account(*PLACE, filter=wanted, select="properties/displayName"))
    assert [p.name for p in found] == ["p0", "p1", "p2", "p4"]
    assert found[0].properties.display_name == "number 0" and found[0].properties.vm_size is None
    for bad in ({"select": "displayName"}, {"select": "properties/colour"}, {"filter": "colour eq 1"}):
        with pytest.raises(HttpResponseError, match="InvalidQueryParameterValue"):
            list(client.pool.list_by_batch_account(*PLACE, **bad))


def test_the_account(client, secure):
    account = client.batch_account.get(*PLACE)
    assert account.properties.account_endpoint == secure.url.removeprefix("https://")
    assert account.properties.pool_allocation_mode == "BatchService" and account.location == "local"
    assert [a.id for a in client.batch_account.list()] == [account.id]
    assert [a.id for a in client.batch_account.list_by_resource_group(GROUP)] == [account.id]
    keys = client.batch_account.get_keys(*PLACE)
    assert (keys.account_name, keys.primary) == (ACCOUNT, secure.key)
    assert client.location.get_quotas("local").account_quota == 1
    sizes = {sku.name: sku for sku in client.location.list_supported_virtual_machine_skus("local")}
    one = sizes["Standard_D4ds_v5"]
    assert one.family_name == "standardDDSv5Family"
    assert {c.name: c.value for c in one.capabilities}["vCPUs"] == "4"
    for name, available in ((ACCOUNT, False), ("another1", True), ("Not!", False)):
        asked = models.CheckNameAvailabilityParameters(name=name, type="Microsoft.Batch/batchAccounts")
        assert client.location.check_name_availability("local", asked).name_available is available


def test_places_that_are_not_there(client, secure):
    def code(call):
        with pytest.raises(HttpResponseError) as refused:
            call()
        return refused.value.status_code, refused.value.error.code

    assert code(lambda: client.batch_account.get(GROUP, "other")) == (404, "ResourceNotFound")
    assert code(lambda: client.batch_account.get("other", ACCOUNT)) == (404, "ResourceGroupNotFound")
    assert code(lambda: client.location.get_quotas("mars")) == (400, "NoRegisteredProviderFound")
    stranger = BatchManagementClient(credential(secure), IDENTITY.split("/")[2], secure.url)
    assert code(lambda: stranger.batch_account.get(*PLACE)) == (404, "SubscriptionNotFound")
    old = BatchManagementClient(
        credential(secure), directory.SUBSCRIPTION, secure.url, api_version="2017-05-01"
    )
    assert code(lambda: old.batch_account.get(*PLACE)) == (400, "NoRegisteredProviderFound")
    assert code(lambda: client.batch_account.get_detector(*PLACE, "poolsAndNodes")) == (
        501,
        "NotImplementedByEmulator",
    )


def test_bodies_that_are_refused(client):
    def refused(body):
        with pytest.raises(HttpResponseError) as caught:
            client.pool.create(*PLACE, "pool", body)
        assert caught.value.status_code == 400
        return caught.value.error.code

    good = resource(nodes=0).as_dict()
    assert refused(good | {"properties": good["properties"] | {"colour": "red"}}) == "InvalidRequestBody"
    assert refused(good | {"colour": "red"}) == "InvalidRequestBody"
    assert refused(good | {"properties": {"vmSize": "Standard_D2s_v3"}}) == "InvalidPropertyValue"
    assert refused(good | {"identity": {"type": "SystemAssigned"}}) == "InvalidPropertyValue"
    assert refused(good | {"identity": {"type": "UserAssigned"}}) == "MissingRequiredProperty"
    wrong = {"type": "UserAssigned", "userAssignedIdentities": {"robot": {}}}
    assert refused(good | {"identity": wrong}) == "InvalidPropertyValue"
    assert list(client.pool.list_by_batch_account(*PLACE)) == []


def test_who_is_let_in(client, secure):
    url = f"{secure.url}/subscriptions?api-version=2022-12-01"
    listed = requests.get(
        url,
        headers={
            "Authorization": f"Bearer {token(secure, verify=None, scope='https://management.azure.com/.default')}"
        },
        timeout=30,
    ).json()
    assert [s["subscriptionId"] for s in listed["value"]] == [directory.SUBSCRIPTION]
    for headers, code in (
        ({}, "AuthenticationFailed"),
        ({"Authorization": "Bearer abc"}, "InvalidAuthenticationToken"),
        ({"Authorization": f"Bearer {token(secure, verify=None)}"}, "InvalidAuthenticationTokenAudience"),
    ):
        response = requests.get(url, headers=headers, timeout=30)
        assert (response.status_code, response.json()["error"]["code"]) == (401, code)
        assert "authorization_uri" in response.headers["WWW-Authenticate"]
    wrong = BatchManagementClient(credential(secure, secret="no"), directory.SUBSCRIPTION, secure.url)
    with pytest.raises(ClientAuthenticationError):
        wrong.batch_account.get(*PLACE)


def test_identities_can_be_looked_up(secure):
    given = token(secure, verify=None, scope="https://management.azure.com/.default")
    shown = requests.get(
        f"{secure.url}{IDENTITY}?api-version=2023-01-31",
        headers={"Authorization": f"Bearer {given}"},
        timeout=30,
    ).json()
    assert shown["name"] == "robot" and shown["properties"]["clientId"] == managed.client_id(IDENTITY)


# Earlier api-versions


def arm(secure, method, path, version, body=None):
    url = f"{secure.url}/subscriptions/{directory.SUBSCRIPTION}/resourceGroups/{GROUP}/providers"
    url += f"/Microsoft.Batch/batchAccounts/{ACCOUNT}{path}?api-version={version}"
    headers = {
        "Authorization": f"Bearer {token(secure, verify=None, scope='https://management.azure.com/.default')}"
    }
    return requests.request(method, url, json=body, headers=headers, timeout=30)


OLD = {
    "vmSize": "Standard_D2s_v3",
    "deploymentConfiguration": {
        "virtualMachineConfiguration": {
            "imageReference": {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2404"},
            "nodeAgentSkuId": "batch.node.ubuntu 24.04",
        }
    },
    "certificates": [],
    "targetNodeCommunicationMode": "Simplified",
    "resourceTags": {"a": "b"},
}


@pytest.mark.parametrize("version", API_VERSIONS[1:])
def test_what_pools_had_in_earlier_versions(secure, version):
    slots = "maxTasksPerNode" if version < "2021" else "taskSlotsPerNode"
    made = arm(secure, "PUT", "/pools/old", version, {"properties": OLD | {slots: 2}})
    assert made.status_code == 200, made.text
    shown = arm(secure, "GET", "/pools/old", version).json()["properties"]
    assert (shown["targetNodeCommunicationMode"], shown["currentNodeCommunicationMode"]) == (
        "Simplified",
    ) * 2
    assert (shown["resourceTags"], shown[slots]) == ({"a": "b"}, 2)
    now = arm(secure, "GET", "/pools/old", API_VERSIONS[0]).json()["properties"]
    assert (
        "targetNodeCommunicationMode" not in now
        and "resourceTags" not in now
        and now["taskSlotsPerNode"] == 2
    )
    used = arm(secure, "PUT", "/pools/old", version, {"properties": OLD | {"certificates": [{"id": "x"}]}})
    assert (used.status_code, used.json()["error"]["code"]) == (400, "InvalidRestAPIForAccountSetting")
    assert arm(secure, "PUT", "/pools/new", API_VERSIONS[0], {"properties": OLD}).status_code == 400
