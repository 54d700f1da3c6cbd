"""Nodes: reboots and the like, scheduling, users, remote login, extensions, logs."""

import asyncio
import uuid
from urllib.parse import parse_qs, urlsplit

from ...core.bodies.checks import check_url
from ...core.bodies.identities import check_reference
from ...core.machine import Machine
from ...core.nodes import endpoints, node_operations, node_users
from ...core.views import extensions, lists, views
from ...protocol.errors import invalid_property
from ...protocol.wire import parse_time
from ..call import Call, Reply


def list_nodes(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        rows = sorted(m.pool(call.path["poolId"]).nodes.items())
        return call.listing(rows, lists.NODES, lambda n: views.node(m, n, call.base), "nodes")

    return call.engine.read(read)


def get_node(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        return call.item(views.node(m, m.node(call.path["poolId"], call.path["nodeId"]), call.base), "nodes")

    return call.engine.read(read)


def _on_node(act):
    """A handler that finds the node and does something with it."""

    def handler(call: Call) -> Reply:
        def stimulus(m: Machine) -> Reply:
            act(m, m.node(call.path["poolId"], call.path["nodeId"]), call)
            return Reply()

        return call.engine.call(stimulus)

    return handler


disable_node_scheduling = _on_node(
    lambda m, node, call: node_operations.disable_scheduling(
        m, node, call.body.get("nodeDisableSchedulingOption", "requeue")
    )
)
enable_node_scheduling = _on_node(lambda m, node, call: node_operations.enable_scheduling(m, node))
reboot_node = _on_node(
    lambda m, node, call: node_operations.reboot(m, node, call.body.get("nodeRebootOption", "requeue"))
)
reimage_node = _on_node(lambda m, node, call: node_operations.reimage(m, node))
deallocate_node = _on_node(
    lambda m, node, call: node_operations.deallocate(
        m, node, call.body.get("nodeDeallocateOption", "requeue")
    )
)
start_node = _on_node(lambda m, node, call: node_operations.start(m, node))


def create_node_user(call: Call) -> Reply:
    def stimulus(m: Machine) -> Reply:
        user = node_users.create(m, m.node(call.path["poolId"], call.path["nodeId"]), call.body)
        url = f"{call.base}{call.url}/{user.name}"
        return Reply(None, {"DataServiceId": url, "Location": url})

    return call.engine.call(stimulus)


replace_node_user = _on_node(
    lambda m, node, call: node_users.replace(m, node, call.path["userName"], call.body)
)
delete_node_user = _on_node(lambda m, node, call: node_users.delete(m, node, call.path["userName"]))


def get_node_remote_login_settings(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        pool, node = m.pool(call.path["poolId"]), m.node(call.path["poolId"], call.path["nodeId"])
        if not node.alive:
            raise node_operations.not_now(node)
        return call.item(endpoints.remote_login(pool, node), "remoteloginsettings")

    return call.engine.read(read)


def list_node_extensions(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        pool, node = m.pool(call.path["poolId"]), m.node(call.path["poolId"], call.path["nodeId"])
        rows = sorted(extensions.on_node(pool, node).items())
        return call.listing(rows, {}, lambda extension: extension, "extensions")

    return call.engine.read(read)


def get_node_extension(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        pool, node = m.pool(call.path["poolId"]), m.node(call.path["poolId"], call.path["nodeId"])
        return call.item(extensions.find(pool, node, call.path["extensionName"]), "extensions")

    return call.engine.read(read)


async def upload_node_logs(call: Call) -> Reply:
    url = call.body["containerUrl"]
    check_url("containerUrl", url)
    identity = call.body.get("identityReference")
    if identity is None and "sig" not in parse_qs(urlsplit(url).query):
        raise invalid_property(
            "containerUrl", url.partition("?")[0], "The URL needs a SAS that permits writing, or an identity."
        )
    start = parse_time(call.body["startTime"])
    end = parse_time(call.body["endTime"]) if "endTime" in call.body else None
    if end is not None and end < start:
        raise invalid_property("endTime", call.body["endTime"], "The end is before the start.")

    def read(m: Machine) -> tuple[str, str]:
        pool, node = m.pool(call.path["poolId"]), m.node(call.path["poolId"], call.path["nodeId"])
        if not node.alive:
            raise node_operations.not_now(node)
        if identity is not None:
            check_reference(identity, pool.spec, "identityReference")
        return node.id, f"{pool.id}/{node.id}/{uuid.uuid4()}"

    node_id, directory = call.engine.read(read)
    files = await asyncio.to_thread(call.engine.node_logs.files, node_id, start, end)
    container = {"containerUrl": url} | ({"identityReference": identity} if identity else {})
    call.engine.nodes.upload_logs(node_id, files, container, directory)
    return Reply({"virtualDirectoryName": directory, "numberOfFilesUploaded": len(files)})
