"""What can be done with one node: users, remote login, extensions."""

from ..core import endpoints, extensions, node_users
from ..core.machine import Machine
from .call import Call, Reply


def _on_node(act):
    """A handler that finds the node and does something with it."""

    def handler(call: Call) -> Reply:
        def stimulus(m: Machine) -> Reply:
            act(m, m.node(call.path["poolId"], call.path["nodeId"]), call)
            return Reply()

        return call.engine.call(stimulus)

    return handler


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
        return call.item(endpoints.remote_login(pool, node), "remoteloginsettings")

    return call.engine.call(read)


def list_node_extensions(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        pool, node = m.pool(call.path["poolId"]), m.node(call.path["poolId"], call.path["nodeId"])
        rows = sorted(extensions.on_node(pool, node).items())
        return call.listing(rows, {}, lambda extension: extension, "extensions")

    return call.engine.call(read)


def get_node_extension(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        pool, node = m.pool(call.path["poolId"]), m.node(call.path["poolId"], call.path["nodeId"])
        return call.item(extensions.find(pool, node, call.path["extensionName"]), "extensions")

    return call.engine.call(read)
