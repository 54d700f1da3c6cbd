"""Whose process is at the other end of a connection on this machine.

Linux tells the user of each socket in /proc/net/tcp (https://docs.kernel.org/networking/proc_net_tcp.html). Elsewhere
the connections of this user's own processes are looked through.
"""

import os
import sys
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path

Address = tuple[str, int]

PROC = Path("/proc/net")
ROOT = 0


def is_own(client: Address, server: Address) -> bool:
    """Whether the connection from `client` to `server`, while it is open, is by a process of this user, or of root's,
    which may do all that this user may."""
    if not (ip_address(client[0]).is_loopback or client[0] == server[0]):
        return False  # from another machine, or by way of something that is not known
    if sys.platform == "linux":
        return _user(client, server) in (os.geteuid(), ROOT)
    return _is_of_own_processes(client, server)


def _user(client: Address, server: Address) -> int | None:
    """The user of the client's socket; None if there is none that a process has open."""
    for table, width in (("tcp", 4), ("tcp6", 16)):
        ends = f" {_entry(client, width)} {_entry(server, width)} ".encode()
        try:
            text = (PROC / table).read_bytes()
        except FileNotFoundError:
            continue
        if (at := text.find(ends)) >= 0:
            fields = text[at : text.index(b"\n", at)].split()
            # local, remote, state, queues, timer, retransmits, user, timeout, inode
            user, inode = int(fields[6]), int(fields[8])
            # A socket that its process has closed has neither user nor inode: the table says 0, which is root.
            return user if inode else None
    return None


def _entry(address: Address, width: int) -> str:
    """An address as the table writes it: words of 32 bits in the machine's own order."""
    host = ip_address(address[0].partition("%")[0])
    if width == 16 and not isinstance(host, IPv6Address):
        host = ip_address(f"::ffff:{host}")
    if len(host.packed) != width:
        return "-"
    words = (host.packed[i : i + 4] for i in range(0, width, 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{address[1]:04X}"


def _is_of_own_processes(client: Address, server: Address) -> bool:
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.uids().effective != os.geteuid():
                continue
            for connection in process.net_connections("tcp"):
                if tuple(connection.laddr) == client and tuple(connection.raddr) == server:
                    return True
    return False
