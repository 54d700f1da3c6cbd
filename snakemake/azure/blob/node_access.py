"""What a task is given so that it reaches its blobs: a SAS, in an environment variable, and never the account's key."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from snakemake.azure.blob.account import ACCOUNT_KEY, ACCOUNT_URL, BlobAccount, BlobAccountError
from snakemake.azure.blob.errors import explained
from snakemake.azure.blob.service import connect

# What a task needs: read, write (touch too), delete, list, create.
NODE_PERMISSIONS = {"read": True, "write": True, "delete": True, "list": True, "create": True}
# https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
USER_DELEGATION_LIMIT = timedelta(days=7)
CLOCK_SKEW = timedelta(minutes=15)


def for_nodes(
    account: BlobAccount, now: datetime, lifetime: timedelta, containers: Iterable[str]
) -> dict[str, str]:
    """Environment variables that give a task access to its blobs, and to nothing that outlives the run.

    A SAS that the user gave is passed on as it is. From an account key a new account SAS is made for Blob
    Storage alone, valid until `now + lifetime`; the key itself stays here. With Entra ID a user
    delegation SAS for the one container is asked from the service: it ends after 7 days at the latest,
    and one URL cannot carry the SAS of two containers. Remove `NOT_FOR_NODES` from whatever else the
    task gets.
    """
    if account.sas:
        token = account.sas
    elif account.key:
        token = _account_sas(account, now + lifetime)
    else:
        token = _user_delegation_sas(account, now, lifetime, sorted(set(containers)))
    return {ACCOUNT_URL: f"{account.url}?{token}"}


def _protocol(account: BlobAccount) -> str:
    return "https" if account.url.startswith("https:") else "https,http"


def _account_sas(account: BlobAccount, expiry: datetime) -> str:
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    return generate_account_sas(
        account.name,
        account.key or "",
        resource_types=ResourceTypes(container=True, object=True),
        permission=AccountSasPermissions(**NODE_PERMISSIONS),
        expiry=expiry,
        protocol=_protocol(account),
    )


def _user_delegation_sas(
    account: BlobAccount, now: datetime, lifetime: timedelta, containers: list[str]
) -> str:
    if len(containers) != 1:
        raise BlobAccountError(
            "With an Entra ID login a task can be given one container only, but the run uses "
            f"{len(containers)} ({', '.join(containers) or 'none'}); set {ACCOUNT_KEY}, or put a SAS "
            f"into {ACCOUNT_URL}."
        )
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    start = now - CLOCK_SKEW
    expiry = min(now + lifetime, start + USER_DELEGATION_LIMIT)
    with explained(account, containers[0]):
        delegation_key = connect(account).get_user_delegation_key(start, expiry)
    return generate_container_sas(
        account.name,
        containers[0],
        user_delegation_key=delegation_key,
        permission=ContainerSasPermissions(**NODE_PERMISSIONS),
        start=start,
        expiry=expiry,
        protocol=_protocol(account),
    )
