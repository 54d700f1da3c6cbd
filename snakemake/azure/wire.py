"""Words and addresses as they come over the wire."""

from urllib.parse import urlsplit


def lower(value: object) -> str:
    """The wire text of an enum or string, in lower case: the service's case differs between versions."""
    return str(getattr(value, "value", value)).lower()


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
