"""Stored access policies of containers: what a SAS that names one may do, until the policy is deleted.

Deleting it is the one way to withdraw a SAS that was signed with an account key, short of renewing the key. A container
has room for five. https://learn.microsoft.com/rest/api/storageservices/define-stored-access-policy

They can only be written all at once. So that two runs that begin or end together do not undo each other's change, each
takes a lease on the container first, for as long as it takes. A container's lease keeps nobody from its blobs:
https://learn.microsoft.com/rest/api/storageservices/lease-container
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from snakemake.azure.blob.errors import error_code
from snakemake.azure.blob.files import pause

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

ROOM = 5
"""How many policies a container can have."""

LEASE = 15  # seconds, the shortest that the service gives
PATIENCE = 40.0  # seconds to wait for the lease of somebody else; a client that died with one is waited out
OURS = "smk-"  # how the ids of runs begin, and so the names of their policies


class NoRoom(Exception):
    """No policy can be stored in the container; the text says why, in a clause."""


def store(
    container: "ContainerClient", name: str, permissions: str, start: datetime, end: datetime, now: datetime
) -> None:
    """Stores the policy, or changes it. Those of other runs that ended by themselves before `now` make room for it.

    Raises
    ------
    NoRoom: the container has five, or somebody keeps a lease on it.
    AzureError: as the SDK has it.
    """
    from azure.storage.blob import AccessPolicy

    def change(policies: dict[str, Any]) -> bool:
        for old in [n for n, policy in policies.items() if n.startswith(OURS) and _ended(policy, now)]:
            del policies[old]
        policies[name] = AccessPolicy(permission=permissions, start=start, expiry=end)
        if len(policies) > ROOM:
            raise NoRoom(f"it has {ROOM} stored access policies already, which is as many as Azure allows")
        return True

    _change(container, change)


def delete(container: "ContainerClient", name: str) -> bool:
    """Deletes the policy, which makes each SAS that names it worthless; False if there is none.

    Raises
    ------
    NoRoom: somebody keeps a lease on the container.
    AzureError: as the SDK has it.
    """
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return _change(container, lambda policies: policies.pop(name, None) is not None)
    except ResourceNotFoundError:
        return False


def of_runs(container: "ContainerClient", now: datetime) -> dict[str, bool]:
    """Names of the policies that runs have stored, which are the runs' ids; each with whether it ended before `now`.
    None where the container is not there, or where it may not be asked.

    Raises
    ------
    AzureError: as the SDK has it.
    """
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

    try:
        found = container.get_container_access_policy()["signed_identifiers"]
    except (ResourceNotFoundError, ClientAuthenticationError):
        return {}
    except HttpResponseError as error:
        if error.status_code != 403:  # a SAS may not, nor may every role
            raise
        return {}
    return {each.id: _ended(each.access_policy, now) for each in found if each.id.startswith(OURS)}


def _change(container: "ContainerClient", change: Callable[[dict[str, Any]], bool]) -> bool:
    """Reads the policies, lets `change` change them, and writes them back if it says so."""
    with _leased(container) as lease:
        found = container.get_container_access_policy()
        policies = {each.id: each.access_policy for each in found["signed_identifiers"]}
        if not change(policies):
            return False
        # With the lease's id: the request fails if the lease has run out meanwhile.
        container.set_container_access_policy(policies, public_access=found["public_access"], lease=lease)
        return True


@contextmanager
def _leased(container: "ContainerClient") -> Iterator[Any]:
    from azure.core.exceptions import HttpResponseError

    began = time.monotonic()
    while True:
        try:
            lease = container.acquire_lease(lease_duration=LEASE)
            break
        except HttpResponseError as error:
            if error_code(error) != "LeaseAlreadyPresent":
                raise
            if time.monotonic() - began > PATIENCE:
                raise NoRoom("somebody keeps a lease on it") from None
            pause(0.5)
    try:
        yield lease
    finally:
        with suppress(HttpResponseError):  # it ends by itself
            lease.release()


def _ended(policy: Any, now: datetime) -> bool:
    end = policy.expiry if policy else None
    if isinstance(end, str):
        with suppress(ValueError):
            end = datetime.fromisoformat(end)
    if not isinstance(end, datetime):
        return False
    return (end if end.tzinfo else end.replace(tzinfo=UTC)) < now
