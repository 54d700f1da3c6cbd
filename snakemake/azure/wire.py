"""Words and addresses as they come over the wire."""

import ipaddress
from urllib.parse import urlsplit


def lower(value: object) -> str:
    """The wire text of an enum or string, in lower case: the service's case differs between versions."""
    return str(getattr(value, "value", value)).lower()


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine. Names below `localhost` are not counted: many resolvers ask the network
    for them.
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
