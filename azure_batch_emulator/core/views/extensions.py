"""VM extensions on nodes, as the service shows them. The emulator installs none.

https://learn.microsoft.com/rest/api/batchservice/nodes/get-node-extension
"""

from ...protocol.errors import BatchError
from ...protocol.wire import format_time
from ..bodies.checks import strip_secrets
from ..entities import Node, Pool


def on_node(pool: Pool, node: Node) -> dict[str, dict]:
    """The node's extensions by lower-case name; they are there when the node has booted."""
    configured = pool.spec["virtualMachineConfiguration"].get("extensions", ())
    done = node.booted is not None
    status = "succeeded" if done else "transitioning"
    return {
        extension["name"].lower(): {
            "provisioningState": "Succeeded" if done else "Creating",
            "vmExtension": strip_secrets(extension),
            "instanceView": {
                "name": extension["name"],
                "statuses": [
                    {
                        "code": f"ProvisioningState/{status}",
                        "level": "Info",
                        "displayStatus": f"Provisioning {status}",
                        "message": "The emulator installs no extensions.",
                        "time": format_time(node.booted or node.lifecycle.since),
                    }
                ],
                "subStatuses": [],
            },
        }
        for extension in configured
    }


def find(pool: Pool, node: Node, name: str) -> dict:
    found = on_node(pool, node).get(name.lower())
    if found is None:
        raise BatchError("ResourceNotFound", [("ExtensionName", name)])
    return found
