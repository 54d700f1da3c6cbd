"""Inbound endpoints of nodes: which port of a public address leads to which port of a node.

The service maps no port, not even for SSH, unless the pool's endpoint configuration has an inbound NAT pool for it.
The addresses here are of the range that is set aside for documentation, because nothing listens there.
https://learn.microsoft.com/azure/batch/pool-endpoint-configuration
"""

from itertools import count

from ...protocol.errors import BatchError
from ..entities import Node, Pool

SSH_PORT = 22
_DOMAIN = "batch.example"


def _nat_pools(pool: Pool) -> list[dict]:
    network = pool.spec.get("networkConfiguration", {})
    return network.get("endpointConfiguration", {}).get("inboundNATPools", [])


def number(pool: Pool, node: Node) -> None:
    """Gives a new node the lowest place that no other node of its pool has, where places matter."""
    if _nat_pools(pool):
        taken = {other.ordinal for other in pool.nodes.values()}
        node.ordinal = next(place for place in count() if place not in taken)


def inbound(pool: Pool, node: Node) -> list[dict]:
    """The node's inboundEndpoints. As many nodes share an address as the smallest range has ports."""
    nat_pools = _nat_pools(pool)
    if not nat_pools:
        return []
    shared = min(each["frontendPortRangeEnd"] - each["frontendPortRangeStart"] + 1 for each in nat_pools)
    address, offset = divmod(node.ordinal, shared)
    return [
        {
            "name": f"{each['name']}.{node.ordinal}",
            "protocol": each["protocol"],
            "publicIPAddress": f"203.0.113.{address % 254 + 1}",
            "publicFQDN": f"{pool.key}-{address}.{_DOMAIN}",
            "frontendPort": each["frontendPortRangeStart"] + offset,
            "backendPort": each["backendPort"],
        }
        for each in nat_pools
    ]


def remote_login(pool: Pool, node: Node) -> dict:
    """The node's remote login settings; OperationNotValidOnNode where the pool maps no port to SSH."""
    for endpoint in inbound(pool, node):
        if endpoint["backendPort"] == SSH_PORT and endpoint["protocol"] == "tcp":
            return {
                "remoteLoginIPAddress": endpoint["publicIPAddress"],
                "remoteLoginPort": endpoint["frontendPort"],
            }
    raise BatchError(
        "OperationNotValidOnNode",
        [("Reason", f"The pool has no inbound NAT pool for TCP port {SSH_PORT} of its nodes.")],
    )
