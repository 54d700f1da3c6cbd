"""Where the emulator listens, and who can reach it there."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

LOOPBACK = "127.0.0.1"


class BindingError(ValueError):
    """An address that is not to be listened on; the message says why, and what to do."""


def check_host(host: str, allow_remote: bool) -> str:
    """The address to bind for --host. BindingError for what is none, and, unless `allow_remote`, for what others than
    this machine can reach."""
    try:
        address = ip_address(LOOPBACK if host == "localhost" else host)
    except ValueError:
        raise BindingError(f"--host takes an IP address or localhost, not {host!r}.") from None
    if not (address.is_loopback or allow_remote):
        raise BindingError(
            f"With --host {host}, whoever reaches this machine over the network and has the account's key can run "
            "commands on it; if that is what you want, give --allow-remote as well."
        )
    return str(address)


def is_loopback(host: str) -> bool:
    return ip_address(host).is_loopback


def own_address(host: str) -> IPv4Address | IPv6Address:
    """Where this machine itself, and the tasks on it, reach what listens on an address."""
    address = ip_address(host)
    if address.is_unspecified:
        return ip_address("::1" if isinstance(address, IPv6Address) else LOOPBACK)
    return address


def local_address(host: str) -> str:
    """The same as the host of a URL."""
    address = own_address(host)
    return str(address) if isinstance(address, IPv4Address) else f"[{address}]"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. OSError when it can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # (asyncio turns Nagle's delay off only for sockets that name their protocol.)
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener
