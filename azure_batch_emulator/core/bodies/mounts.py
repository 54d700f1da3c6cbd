"""The rules of a pool's mounted file systems, and which of them this emulator can mount.

https://learn.microsoft.com/azure/batch/virtual-file-mount
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ...protocol.errors import BatchError, invalid_property
from . import identities

MAX_MOUNTS = 10
BLOBS = "azureBlobFileSystemConfiguration"


@dataclass(frozen=True)
class Mountable:
    """The storage accounts whose containers nodes can mount, whether also with an identity's token, and a sentence
    that says what is `missing`, if something is."""

    accounts: tuple[str, ...] = ()
    tokens: bool = False
    missing: str = "Without an Azurite of the emulator's (--blob-port) there is nothing to mount."


def check_rules(mounts: Iterable[dict]) -> None:
    """What the service would check."""
    mounts = list(mounts)
    if len(mounts) > MAX_MOUNTS:
        raise invalid_property("mountConfiguration", len(mounts), f"A node has at most {MAX_MOUNTS} mounts.")
    taken: list[list[str]] = []
    for i, mount in enumerate(mounts):
        where = f"mountConfiguration[{i}]"
        if len(mount) != 1:
            raise invalid_property(where, "", "Exactly one file system is needed.")
        ((kind, system),) = mount.items()
        path = system["relativeMountPath"]
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if path.startswith("/") or ".." in parts or not parts:
            reason = "A path below the mounts directory is needed."
        elif not all(_part_ways(parts, other) for other in taken):
            reason = "No file system can be mounted at, or below, another's path."
        else:
            reason = ""
        if reason:
            raise invalid_property(f"{where}/{kind}/relativeMountPath", path, reason)
        taken.append(parts)
        if kind == BLOBS:
            keys = ("accountKey", "sasKey", "identityReference")
            if sum(key in system for key in keys) != 1:
                raise invalid_property(f"{where}/{kind}", "", f"Exactly one of {', '.join(keys)} is needed.")


def check_possible(spec: dict, mountable: Mountable) -> None:
    """Refuses what nodes of this emulator can't mount."""
    for i, mount in enumerate(spec.get("mountConfiguration", ())):
        ((kind, system),) = mount.items()
        if kind != BLOBS:
            raise _refusal(kind, "Nodes mount containers of blobs only.")
        if mountable.missing:
            raise _refusal(kind, mountable.missing)
        if system["accountName"] not in mountable.accounts:
            known = ", ".join(mountable.accounts)
            raise _refusal(kind, f"Only containers of Azurite's accounts can be mounted: {known}.")
        if "identityReference" in system:
            where = f"mountConfiguration[{i}]/{kind}/identityReference"
            identities.check_reference(system["identityReference"], spec, where)
            if not mountable.tokens:
                raise _refusal(kind, "Azurite takes tokens over https only: start with --cert and --key.")


def _part_ways(one: list[str], other: list[str]) -> bool:
    """Whether neither of two paths leads through the other."""
    return any(a != b for a, b in zip(one, other, strict=False))


def _refusal(kind: str, reason: str) -> BatchError:
    feature = f"mountConfiguration/{kind}"
    return BatchError("NotImplementedByEmulator", [("Feature", feature), ("Reason", reason)])
