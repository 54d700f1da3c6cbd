"""The subscription and what is in it: one resource group with one Batch account.

https://learn.microsoft.com/rest/api/batchmanagement/batch-account
"""

import base64
import re

from .. import DEV_ACCOUNT, DEV_KEY
from ..core.bodies.catalogue import Catalogue
from ..core.bodies.checks import not_yet
from ..core.machine import Machine
from ..core.pools.quotas import vm_family
from ..identity import directory, managed
from ..protocol.errors import BatchError, invalid_property, missing_property
from ..protocol.wire import format_time
from . import pool_conversion
from .errors import ManagementError

GROUP = "devbatch"
LOCATION = "local"
_GROUP_PATH = f"/subscriptions/{directory.SUBSCRIPTION}/resourceGroups/{GROUP}"
ACCOUNT_PATH = f"{_GROUP_PATH}/providers/Microsoft.Batch/batchAccounts/{DEV_ACCOUNT}"


def check_subscription(name: str) -> None:
    if name.lower() != directory.SUBSCRIPTION:
        raise ManagementError(404, "SubscriptionNotFound", f"The subscription '{name}' could not be found.")


def check_group(name: str) -> None:
    if name.lower() != GROUP:
        raise ManagementError(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def check_account(name: str) -> None:
    if name.lower() != DEV_ACCOUNT:
        raise ManagementError(
            404,
            "ResourceNotFound",
            f"The Resource 'Microsoft.Batch/batchAccounts/{name}' under resource group '{GROUP}' was not found.",
        )


def check_location(name: str) -> None:
    if name.lower() != LOCATION:
        raise ManagementError(
            400,
            "NoRegisteredProviderFound",
            f"No registered resource provider found for location '{name}': the emulator's is '{LOCATION}'.",
        )


def subscription() -> dict:
    return {
        "id": f"/subscriptions/{directory.SUBSCRIPTION}",
        "subscriptionId": directory.SUBSCRIPTION,
        "tenantId": directory.TENANT,
        "displayName": "Azure Batch emulator",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
    }


def tenant() -> dict:
    return {"id": f"/tenants/{directory.TENANT}", "tenantId": directory.TENANT}


def group() -> dict:
    return {
        "id": _GROUP_PATH,
        "name": GROUP,
        "type": "Microsoft.Resources/resourceGroups",
        "location": LOCATION,
        "properties": {"provisioningState": "Succeeded"},
    }


def account(m: Machine, host: str, storage: str | None) -> dict:
    """`host` is where the Batch service answers, with its port; `storage` names the linked storage account. A quota
    without a limit is left out."""
    profile = m.profile
    properties: dict = {
        "accountEndpoint": host,
        "nodeManagementEndpoint": host,
        "provisioningState": "Succeeded",
        "poolAllocationMode": "BatchService",
        "publicNetworkAccess": "Enabled",
        "privateEndpointConnections": [],
        "encryption": {"keySource": "Microsoft.Batch"},
        "dedicatedCoreQuotaPerVMFamily": [],
        "dedicatedCoreQuotaPerVMFamilyEnforced": False,
        "allowedAuthenticationModes": ["SharedKey", "AAD", "TaskAuthenticationToken"],
    }
    quotas = {
        "dedicatedCoreQuota": profile.dedicated_cores,
        "lowPriorityCoreQuota": profile.low_priority_cores,
        "poolQuota": profile.pools,
        "activeJobAndJobScheduleQuota": profile.jobs,
    }
    if storage is not None:
        properties["autoStorage"] = {
            "storageAccountId": f"{_GROUP_PATH}/providers/Microsoft.Storage/storageAccounts/{storage}",
            "lastKeySync": format_time(m.account.synchronised or m.epoch),
            "authenticationMode": "StorageKeys",
        }
    return {
        "id": ACCOUNT_PATH,
        "name": DEV_ACCOUNT,
        "type": "Microsoft.Batch/batchAccounts",
        "location": LOCATION,
        "properties": properties | {name: value for name, value in quotas.items() if value is not None},
        "identity": {"type": "None"},
        "tags": m.account.tags,
    }


def update(m: Machine, resource: dict) -> None:
    """Only the account's tags can be changed."""
    if others := sorted(name for name in resource if name != "tags" and resource[name]):
        raise not_yet(f"changing the account's {others[0]}")
    if "tags" in resource:
        m.account.tags = pool_conversion.to_tags(resource)


def create(m: Machine, resource: dict) -> None:
    """Azure changes an account that exists to what is asked for; here that is its tags."""
    check_location(str(resource.get("location", "")).replace(" ", ""))
    properties = resource.get("properties") or {}
    if str(properties.get("poolAllocationMode", "BatchService")).lower() != "batchservice":
        raise not_yet("accounts in the mode UserSubscription")
    if "autoStorage" in properties:
        raise not_yet("linking another storage account")
    m.account.tags = pool_conversion.to_tags(resource)


def keys(m: Machine) -> tuple[str, str]:
    """The primary and the secondary key; the published one as long as they have not been made anew."""
    primary, secondary = (m.account.keys.get(name, DEV_KEY) for name in _KEYS)
    return primary, secondary


_KEYS = ("primary", "secondary")


def show_keys(m: Machine) -> dict:
    return {"accountName": DEV_ACCOUNT} | dict(zip(_KEYS, keys(m), strict=True))


def regenerate(m: Machine, body: dict) -> None:
    """One of the keys is another one from now on: nothing that was signed with the old one is let in."""
    if "keyName" not in body:
        raise missing_property("keyName")
    name = str(body["keyName"]).lower()
    if name not in _KEYS:
        raise invalid_property("keyName", body["keyName"], "Primary or Secondary is expected.")
    m.account.keys[name] = base64.b64encode(m.random.randbytes(64)).decode()


def synchronise(m: Machine) -> None:
    """The service is to read the linked storage account's keys again."""
    if not m.catalogue.auto_storage:
        raise BatchError("StorageAccountNotFound")
    m.account.synchronised = m.now


def name_availability(name: str) -> dict:
    if not re.fullmatch(r"[a-z0-9]{3,24}", name):
        reason, message = "Invalid", "An account's name has 3 to 24 lower-case letters and digits."
        return {"nameAvailable": False, "reason": reason, "message": message}
    if name == DEV_ACCOUNT:
        message = f"An account named '{name}' is already in use."
        return {"nameAvailable": False, "reason": "AlreadyExists", "message": message}
    return {"nameAvailable": True}


def vm_skus(catalogue: Catalogue) -> list[dict]:
    return [
        {
            "name": size.name,
            "familyName": vm_family(size.name),
            "capabilities": [
                {"name": "vCPUs", "value": str(size.cores)},
                {"name": "MemoryGB", "value": f"{size.memory_gib:g}"},
                {"name": "MaxResourceVolumeMB", "value": str(int(size.temp_disk_gib * 1024))},
            ],
        }
        for size in catalogue.sizes.values()
    ]


def identity(resource_id: str) -> dict:
    """A user-assigned identity; `resource_id` is well-formed."""
    return {
        "id": resource_id,
        "name": resource_id.rpartition("/")[2],
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "location": LOCATION,
        "tags": {},
        "properties": {
            "tenantId": directory.TENANT,
            "principalId": managed.principal_id(resource_id),
            "clientId": managed.client_id(resource_id),
        },
    }
