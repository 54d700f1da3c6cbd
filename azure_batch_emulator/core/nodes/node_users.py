"""User accounts for SSH on a node. They are kept and checked as the service does it; no account is made on this
machine, and nothing listens for SSH.

https://learn.microsoft.com/rest/api/batchservice/nodes/create-node-user
"""

import base64
import binascii
import re
from datetime import datetime, timedelta

from ...protocol.errors import BatchError, invalid_property, missing_property
from ...protocol.wire import parse_time
from ..entities import Node, NodeUser
from ..machine import Machine
from .node_operations import not_now

LIFETIME = timedelta(days=1)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,31}")


def create(m: Machine, node: Node, body: dict) -> NodeUser:
    _check_state(node)
    name = body["name"]
    if not _NAME.fullmatch(name):
        raise invalid_property("name", name[:40], "This is not the name of a Linux user.")
    if "password" not in body and "sshPublicKey" not in body:
        raise missing_property("password")
    expiry = _check(m, body)
    _expire(m, node)
    if name in node.users:
        raise BatchError("NodeUserExists")
    user = NodeUser(name, body.get("isAdmin", False), expiry, "password" in body, body.get("sshPublicKey"))
    node.users[name] = user
    return user


def replace(m: Machine, node: Node, name: str, body: dict) -> NodeUser:
    """What is not given is removed, and the account lives for another day."""
    _check_state(node)
    expiry = _check(m, body)
    user = _find(m, node, name)
    user.expiry, user.has_password = expiry, "password" in body
    user.ssh_public_key = body.get("sshPublicKey")
    return user


def delete(m: Machine, node: Node, name: str) -> None:
    _check_state(node)
    del node.users[_find(m, node, name).name]


def _check_state(node: Node) -> None:
    if node.state not in ("idle", "running"):
        raise not_now(node)


def _check(m: Machine, body: dict) -> datetime:
    """Checks what a new and a changed account have in common; returns when it expires."""
    if body.get("password") == "":
        raise invalid_property("password", "", "A password has at least one character.")
    if "sshPublicKey" in body and not _is_public_key(body["sshPublicKey"]):
        raise invalid_property("sshPublicKey", "", "A key in OpenSSH's encoding, in base 64, is needed.")
    if "expiryTime" not in body:
        return m.now + LIFETIME
    expiry = parse_time(body["expiryTime"])
    if expiry <= m.now:
        raise invalid_property("expiryTime", body["expiryTime"], "The time is over already.")
    return expiry


def _is_public_key(text: str) -> bool:
    """`TYPE BASE64 COMMENT`, or the base 64 part alone; the binary begins with the name of the type."""
    words = text.split()
    if not words:
        return False
    encoded = words[1] if len(words) > 1 else words[0]
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return False
    length = int.from_bytes(data[:4], "big")
    kind = data[4 : 4 + length]
    named = len(words) == 1 or words[0].encode() == kind
    return len(data) > 4 + length > 4 and kind.isascii() and named


def _find(m: Machine, node: Node, name: str) -> NodeUser:
    _expire(m, node)
    if name not in node.users:
        raise BatchError("NodeUserNotFound")
    return node.users[name]


def _expire(m: Machine, node: Node) -> None:
    """On Linux an account lives to the end of the day on which it expires."""
    for name in [name for name, user in node.users.items() if user.expiry.date() < m.now.date()]:
        del node.users[name]
