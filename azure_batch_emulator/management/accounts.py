"""The subscription and what is in it: one resource group with one Batch account.

https://learn.microsoft.com/rest/api/batchmanagement/batch-account
"""

import re

from .. import DEV_ACCOUNT, DEV_KEY
from ..core.catalogue import Catalogue
from ..core.quotas import vm_family
from ..identity import directory, managed
from ..profile import Profile
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


def account(profile: Profile, host: str) -> dict:
    """`host` is where the Batch service answers, with its port. A quota that has no limit is left out."""
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
    }
    return {
        "id": ACCOUNT_PATH,
        "name": DEV_ACCOUNT,
        "type": "Microsoft.Batch/batchAccounts",
        "location": LOCATION,
        "properties": properties | {name: value for name, value in quotas.items() if value is not None},
        "identity": {"type": "None"},
        "tags": {},
    }


def keys() -> dict:
    """The account has one key, which stands in both places."""
    return {"accountName": DEV_ACCOUNT, "primary": DEV_KEY, "secondary": DEV_KEY}


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
