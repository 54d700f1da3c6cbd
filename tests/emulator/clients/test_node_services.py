"""Users, remote login and extensions of nodes, with the real client."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from support.emulator import wait_until

from ..helpers import VM, make_pool
from ..raw import error, send
from .coverage import covers

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ0bmRlcndlZ3Rlc3RrZXl0ZXN0a2V5dGVzdGtleXQh me@here"


def code(caught):
    return caught.value.error.code


def node_of(client, pool_id="pool"):
    (node,) = client.list_nodes(pool_id)
    return node


@covers("create_node_user", "replace_node_user", "delete_node_user")
def test_users_come_change_and_go(client):
    make_pool(client)
    node = node_of(client)
    user = models.BatchNodeUserCreateOptions(name="me", password="secret", is_admin=True)
    client.create_node_user("pool", node.id, user)
    with pytest.raises(ResourceExistsError) as caught:
        client.create_node_user("pool", node.id, user)
    assert code(caught) == "NodeUserExists"
    client.replace_node_user("pool", node.id, "me", models.BatchNodeUserReplaceOptions(ssh_public_key=KEY))
    client.delete_node_user("pool", node.id, "me")
    for gone in (
        lambda: client.delete_node_user("pool", node.id, "me"),
        lambda: client.replace_node_user(
            "pool", node.id, "me", models.BatchNodeUserReplaceOptions(password="p")
        ),
    ):
        with pytest.raises(ResourceNotFoundError) as caught:
            gone()
        assert code(caught) == "NodeUserNotFound"
    client.create_node_user("pool", node.id, user)


@pytest.mark.parametrize(
    ("wrong", "status", "problem", "name"),
    [
        ({"name": "me"}, 400, "MissingRequiredProperty", "password"),
        ({"name": "a b", "password": "p"}, 400, "InvalidPropertyValue", "name"),
        ({"name": "me", "password": ""}, 400, "InvalidPropertyValue", "password"),
        ({"name": "me", "sshPublicKey": "not a key"}, 400, "InvalidPropertyValue", "sshPublicKey"),
        ({"name": "me", "sshPublicKey": KEY.replace("ssh-ed25519", "ssh-rsa")}, 400, "InvalidPropertyValue", "sshPublicKey"),
        ({"name": "me", "password": "p", "expiryTime": "2020-01-01T00:00:00Z"}, 400, "InvalidPropertyValue", "expiryTime"),
    ],
)  # fmt: skip
def test_users_that_are_refused(emulator, client, wrong, status, problem, name):
    make_pool(client)
    path = f"/pools/pool/nodes/{node_of(client).id}/users"
    details = error(send(emulator, "POST", path, wrong), status, problem)
    assert details["PropertyName"] == name
    good = wrong | {
        "password": "p",
        "name": "me",
        "expiryTime": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
    }
    good.pop("sshPublicKey", None)
    answer = send(emulator, "POST", path, good)
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["Location"].endswith(f"{path}/me")


def test_users_of_a_node_that_does_not_start(client):
    failing = models.BatchStartTask(command_line="false", wait_for_success=True)
    make_pool(client, wait=False, start_task=failing)
    wait_until(lambda: [n.state for n in client.list_nodes("pool")] == ["starttaskfailed"])
    user = models.BatchNodeUserCreateOptions(name="me", password="secret")
    with pytest.raises(HttpResponseError) as caught:
        client.create_node_user("pool", node_of(client).id, user)
    assert (caught.value.status_code, code(caught)) == (409, "OperationNotValidOnNode")


def nat_pool(**more):
    values = {
        "name": "ssh",
        "protocol": "tcp",
        "backend_port": 22,
        "frontend_port_range_start": 1000,
        "frontend_port_range_end": 1039,
    }
    return models.BatchInboundNatPool(**values | more)


def with_endpoints(*pools):
    endpoints = models.BatchPoolEndpointConfiguration(inbound_nat_pools=list(pools))
    return models.NetworkConfiguration(endpoint_configuration=endpoints)


def test_remote_login_needs_an_endpoint_for_ssh(client):
    make_pool(client, network_configuration=with_endpoints(nat_pool(backend_port=80)))
    node = node_of(client)
    assert [e.backend_port for e in node.endpoint_configuration.inbound_endpoints] == [80]
    with pytest.raises(HttpResponseError) as caught:
        client.get_node_remote_login_settings("pool", node.id)
    assert (caught.value.status_code, code(caught)) == (409, "OperationNotValidOnNode")


@covers("get_node_remote_login_settings")
def test_remote_login(client):
    make_pool(client, nodes=2, network_configuration=with_endpoints(nat_pool()))
    seen = set()
    for node in client.list_nodes("pool"):
        login = client.get_node_remote_login_settings("pool", node.id)
        (endpoint,) = node.endpoint_configuration.inbound_endpoints
        assert (login.remote_login_ip_address, login.remote_login_port) == (
            endpoint.public_ip_address,
            endpoint.frontend_port,
        )
        seen.add((login.remote_login_ip_address, login.remote_login_port))
    assert {port for _, port in seen} == {1000, 1001}
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_node_remote_login_settings("pool", "none")
    assert code(caught) == "NodeNotFound"


def test_a_node_without_a_machine_has_neither_login_nor_logs(client):
    make_pool(client, network_configuration=with_endpoints(nat_pool()))
    node = node_of(client)
    client.begin_deallocate_node("pool", node.id, {"nodeDeallocateOption": "requeue"}).result()
    assert client.get_node("pool", node.id).state == "deallocated"
    logs = models.UploadBatchServiceLogsOptions(
        container_url="http://x/c?sig=x", start_time=datetime.now(UTC)
    )
    for ask in (
        lambda: client.get_node_remote_login_settings("pool", node.id),
        lambda: client.upload_node_logs("pool", node.id, logs),
    ):
        with pytest.raises(HttpResponseError) as caught:
            ask()
        assert (caught.value.status_code, code(caught)) == (409, "OperationNotValidOnNode")


@covers("list_node_extensions", "get_node_extension")
def test_extensions(client, emulator):
    extensions = [
        models.VMExtension(
            name="Second",
            publisher="p",
            type="t",
            settings={"a": {"b": ["c"]}},
            provision_after_extensions=["first"],
        ),
        models.VMExtension(name="first", publisher="p", type="t", protected_settings={"key": "secret"}),
    ]
    machine = models.VirtualMachineConfiguration(
        VM.as_dict() | {"extensions": [e.as_dict() for e in extensions]}
    )
    make_pool(client, virtual_machine_configuration=machine)
    node = node_of(client)
    listed = list(client.list_node_extensions("pool", node.id, max_results=1))
    assert [e.vm_extension.name for e in listed] == ["first", "Second"]
    assert listed[0].vm_extension.protected_settings is None
    one = client.get_node_extension("pool", node.id, "second")
    assert (one.provisioning_state, one.vm_extension.name) == ("Succeeded", "Second")
    # The client would make strings of what is nested in settings.
    raw = send(emulator, "GET", f"/pools/pool/nodes/{node.id}/extensions/Second").json()
    assert raw["vmExtension"]["settings"] == {"a": {"b": ["c"]}}
    assert one.instance_view.statuses[0].level == "Info"
    some = list(client.list_node_extensions("pool", node.id, select=["provisioningState"]))
    assert [(e.provisioning_state, e.vm_extension) for e in some] == [("Succeeded", None)] * 2
    with pytest.raises(ResourceNotFoundError) as caught:
        client.get_node_extension("pool", node.id, "third")
    assert code(caught) == "ResourceNotFound"
