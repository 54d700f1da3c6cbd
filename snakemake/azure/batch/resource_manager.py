"""Pools by Azure Resource Manager, which alone can give a pool an identity; all that follows is the Batch service's.

https://learn.microsoft.com/rest/api/batchmanagement/pool/create, https://learn.microsoft.com/azure/batch/managed-identity-pools
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from snakemake.azure import retry
from snakemake.azure.batch.account import BatchAccount, retry_policy
from snakemake.azure.login import login, management_endpoint
from snakemake.azure.options import SettingsError
from snakemake.azure.pool_settings import IDENTITY
from snakemake.azure.wire import is_loopback

if TYPE_CHECKING:
    from azure.mgmt.batch import BatchManagementClient

# What the two services call differently, by the name that it stands below: (place, Batch's name, Resource Manager's).
_NAMES = {
    ("virtualMachineConfiguration", "nodeAgentSKUId"): "nodeAgentSkuId",
    ("userIdentity", "username"): "userName",
    ("networkConfiguration", "dynamicVNetAssignmentScope"): "dynamicVnetAssignmentScope",
}
# Resource Manager's spelling of values.
_VALUES = {
    "nodefilltype": {"spread": "Spread", "pack": "Pack"},
    "elevationlevel": {"nonadmin": "NonAdmin", "admin": "Admin"},
    "scope": {"task": "Task", "pool": "Pool"},
    "provision": {"nopublicipaddresses": "NoPublicIPAddresses", "batchmanaged": "BatchManaged"},
    "type": {"dockercompatible": "DockerCompatible"},
}
_SCALE = {"enableAutoScale", "autoScaleFormula", "autoScaleEvaluationInterval"}


def subscription_of(identities: Sequence[str], given: str | None, environ: Mapping[str, str]) -> str:
    """The subscription that the Batch account is looked for in; empty where no pool gets an identity."""
    if not identities:
        return ""
    match = IDENTITY.fullmatch(identities[0])
    return given or environ.get("AZURE_SUBSCRIPTION_ID") or (match["subscription"] if match else "")


def resource(body: Mapping[str, Any], identities: Sequence[str]) -> dict[str, Any]:
    """The resource for a pool, from the body of the Batch service's own request for it."""
    machine = {"virtualMachineConfiguration": body["virtualMachineConfiguration"]}
    properties = {
        name: _translated(value, name)
        for name, value in body.items()
        if name not in {"id", "virtualMachineConfiguration", *_SCALE}
    }
    properties["deploymentConfiguration"] = _translated(machine, "")
    properties["scaleSettings"] = {
        "autoScale": {
            "formula": body["autoScaleFormula"],
            "evaluationInterval": body["autoScaleEvaluationInterval"],
        }
    }
    return {
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {one: {} for one in identities}},
        "properties": properties,
        "tags": {item["name"]: item["value"] for item in body.get("metadata", [])},
    }


def _translated(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        return {_NAMES.get((where, name), name): _translated(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_translated(item, where) for item in value]
    return _VALUES.get(where.lower(), {}).get(value, value) if isinstance(value, str) else value


class ResourceManager:
    """Makes pools of a Batch account, which it finds by its endpoint in `subscription`."""

    def __init__(self, account: BatchAccount, subscription: str) -> None:
        self._account, self._subscription = account, subscription

    @cached_property
    def client(self) -> "BatchManagementClient":
        from azure.mgmt.batch import BatchManagementClient

        url = management_endpoint(self._account.endpoint)
        service = retry.service(f"Azure Resource Manager at {url}", is_loopback(url))
        return BatchManagementClient(
            login(self._account.endpoint),
            self._subscription,
            url,
            credential_scopes=[f"{management_endpoint(self._account.endpoint, audience=True)}/.default"],
            retry_policy=retry_policy(service),
            connection_timeout=10,
            read_timeout=60,
        )

    @cached_property
    def place(self) -> tuple[str, str]:
        """Resource group and name of the Batch account.

        Raises
        ------
        SettingsError: no account in the subscription has the endpoint.
        """
        host = urlsplit(self._account.endpoint).netloc.lower()
        for account in self.client.batch_account.list():
            if account.properties and str(account.properties.account_endpoint).lower() == host:
                parts = str(account.id).split("/")
                return parts[4], parts[-1]
        raise SettingsError(
            f"No Batch account of the subscription {self._subscription} has the address {host}: set "
            "--az-batch-subscription-id to the account's."
        )

    def create_pool(self, body: Mapping[str, Any], identities: Sequence[str]) -> str:
        """Makes the pool; the client id of its first identity. A pool that exists was made by a request whose answer
        was lost: ids are of one run alone."""
        from azure.core.exceptions import HttpResponseError

        group, account = self.place
        try:
            pool = self.client.pool.create(group, account, body["id"], resource(body, identities))
        except HttpResponseError as e:
            # https://github.com/Azure/Batch/issues/153
            if not (
                e.error and e.error.code in ("PropertyCannotBeUpdated", "PoolExists", "PoolBeingCreated")
            ):
                raise
            pool = self.client.pool.get(group, account, body["id"])
        found = (pool.identity.user_assigned_identities if pool.identity else None) or {}
        clients = {resource_id.lower(): identity.client_id for resource_id, identity in found.items()}
        return clients.get(identities[0].lower()) or ""

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()
