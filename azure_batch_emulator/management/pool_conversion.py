"""Pools in the two forms that Azure has for them: the Batch service's, and Resource Manager's.

https://learn.microsoft.com/rest/api/batchmanagement/pool
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from ..identity import managed
from ..protocol.errors import invalid_property, missing_property
from .errors import unknown_property

# Where the two call a property differently: (what it is in, Resource Manager's name, the service's name).
_NAMES = (
    ("virtualMachineConfiguration", "nodeAgentSkuId", "nodeAgentSKUId"),
    ("imageReference", "id", "virtualMachineImageId"),
    ("userIdentity", "userName", "username"),
    ("cifsMountConfiguration", "userName", "username"),
    ("endpointConfiguration", "inboundNatPools", "inboundNATPools"),
    ("networkConfiguration", "dynamicVnetAssignmentScope", "dynamicVNetAssignmentScope"),
)
_TO_BATCH = {(where, arm): batch for where, arm, batch in _NAMES}
_TO_ARM = {(where, batch): arm for where, arm, batch in _NAMES}
_TOP = {"id", "name", "type", "etag", "systemData", "properties", "identity", "tags"}
# What a client may send back as it got it; it changes nothing.
_READ_ONLY = {
    "lastModified", "creationTime", "provisioningState", "provisioningStateTransitionTime", "allocationState",
    "allocationStateTransitionTime", "currentDedicatedNodes", "currentLowPriorityNodes", "autoScaleRun",
    "resizeOperationStatus",
}  # fmt: skip
_ALIKE = (
    "displayName", "vmSize", "networkConfiguration", "taskSlotsPerNode", "taskSchedulingPolicy", "userAccounts",
    "metadata", "startTask", "mountConfiguration", "upgradePolicy",
)  # fmt: skip
_OWN = {"deploymentConfiguration", "scaleSettings", "interNodeCommunication", "applicationPackages"}
PROPERTIES = _OWN | _READ_ONLY | set(_ALIKE)


def _rename(value: Any, names: dict[tuple[str, str], str], where: str = "") -> Any:
    if isinstance(value, dict):
        return {
            names.get((where, name), name): _rename(item, names, name)
            for name, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [_rename(item, names, where) for item in value]
    return value


def to_batch(resource: dict) -> dict:
    """The body of a pool's request to the Batch service, without its id, that `resource` stands for. Raises BatchError
    for what does not exist in a pool; values are for the service to check."""
    if unknown := sorted(set(resource) - _TOP):
        raise unknown_property(unknown[0])
    given = resource.get("properties", {})
    if not isinstance(given, dict):
        raise invalid_property("properties", given, "An object is expected.")
    given = {name: value for name, value in given.items() if value is not None and name not in _READ_ONLY}
    if unknown := sorted(set(given) - set(_ALIKE) - _OWN):
        raise unknown_property(f"properties.{unknown[0]}")
    body = {name: _rename(given[name], _TO_BATCH, name) for name in _ALIKE if name in given}
    machine = _object(given, "deploymentConfiguration").get("virtualMachineConfiguration")
    if machine is not None:
        body["virtualMachineConfiguration"] = _rename(machine, _TO_BATCH, "virtualMachineConfiguration")
    if "interNodeCommunication" in given:
        choice = str(given["interNodeCommunication"]).lower()
        if choice not in ("enabled", "disabled"):
            raise invalid_property(
                "properties.interNodeCommunication", choice, "Enabled or Disabled is expected."
            )
        body["enableInterNodeCommunication"] = choice == "enabled"
    if packages := given.get("applicationPackages"):
        if not isinstance(packages, list) or not all(isinstance(package, dict) for package in packages):
            raise invalid_property(
                "properties.applicationPackages", packages, "A list of objects is expected."
            )
        body["applicationPackageReferences"] = [
            {"applicationId": str(package.get("id", "")).rpartition("/")[2]}
            | ({"version": package["version"]} if package.get("version") else {})
            for package in packages
        ]
    return body | _scale(_object(given, "scaleSettings"))


def _scale(settings: dict) -> dict:
    fixed, auto = (
        None if settings.get(name) is None else _object(settings, name)
        for name in ("fixedScale", "autoScale")
    )
    if fixed is not None and auto is not None:
        raise invalid_property(
            "properties.scaleSettings", "", "Only one of fixedScale and autoScale can be specified."
        )
    if auto is not None:
        if "formula" not in auto:
            raise missing_property("properties.scaleSettings.autoScale.formula")
        names = {"formula": "autoScaleFormula", "evaluationInterval": "autoScaleEvaluationInterval"}
        return {"enableAutoScale": True} | {names.get(name, name): value for name, value in auto.items()}
    return {"enableAutoScale": False, **fixed} if fixed is not None else {}


def to_identity(resource: dict) -> dict | None:
    """The pool's identities as the Batch service shows them; None where the resource has none."""
    given = _object(resource, "identity")
    if not given:
        return None
    kind = str(given.get("type", "")).lower()
    if kind == "none":
        return None
    if kind != "userassigned":
        raise invalid_property("identity.type", given.get("type", ""), "UserAssigned or None is expected.")
    ids = list(_object(given, "userAssignedIdentities"))
    if not ids:
        raise missing_property("identity.userAssignedIdentities")
    for resource_id in ids:
        if not managed.is_identity(resource_id):
            raise invalid_property(
                "identity.userAssignedIdentities",
                resource_id,
                "The resource id of a user-assigned identity is expected.",
            )
    return {
        "type": "UserAssigned",
        "userAssignedIdentities": [
            {"resourceId": i, "clientId": managed.client_id(i), "principalId": managed.principal_id(i)}
            for i in ids
        ],
    }


def to_tags(resource: dict) -> dict[str, str]:
    tags = _object(resource, "tags")
    for name, value in tags.items():
        if not isinstance(value, str):
            raise invalid_property(f"tags.{name}", value, "A string is expected.")
    return tags


def to_arm(shown: dict, resource_id: str, tags: dict[str, str], resize: dict) -> dict:
    """The resource for a pool as the Batch service shows it; `resize` is its resizeOperationStatus."""
    properties: dict[str, Any] = {
        "provisioningState": "Succeeded" if shown["state"] == "active" else "Deleting",
        "provisioningStateTransitionTime": shown["stateTransitionTime"],
    }
    for name in (*_ALIKE, *_READ_ONLY):
        if name in shown:
            properties[name] = _rename(shown[name], _TO_ARM, name)
    properties["deploymentConfiguration"] = _rename(
        {"virtualMachineConfiguration": shown["virtualMachineConfiguration"]}, _TO_ARM
    )
    properties["interNodeCommunication"] = (
        "Enabled" if shown.get("enableInterNodeCommunication") else "Disabled"
    )
    if shown.get("enableAutoScale"):
        auto = {
            "formula": shown["autoScaleFormula"],
            "evaluationInterval": shown["autoScaleEvaluationInterval"],
        }
        properties["scaleSettings"] = {"autoScale": auto}
    else:
        names = ("targetDedicatedNodes", "targetLowPriorityNodes", "resizeTimeout")
        properties["scaleSettings"] = {"fixedScale": {name: shown[name] for name in names}}
    if run := shown.get("autoScaleRun"):
        properties["autoScaleRun"] = {"evaluationTime": run["timestamp"], "results": run["results"]}
        if error := run.get("error"):
            details = [{"code": "Message", "message": value["value"]} for value in error.get("values", ())]
            properties["autoScaleRun"]["error"] = {
                "code": error["code"],
                "message": error["message"],
                "details": details,
            }
    properties["resizeOperationStatus"] = resize
    if packages := shown.get("applicationPackageReferences"):
        account = resource_id.rpartition("/pools/")[0]
        properties["applicationPackages"] = [
            {"id": f"{account}/applications/{package['applicationId']}"}
            | ({"version": package["version"]} if "version" in package else {})
            for package in packages
        ]
    resource = {
        "id": resource_id,
        "name": shown["id"],
        "type": "Microsoft.Batch/batchAccounts/pools",
        "etag": f'W/"{shown["eTag"]}"',
        "properties": _spelled(properties),
    }
    if tags:
        resource["tags"] = tags
    if identity := shown.get("identity"):
        resource["identity"] = {
            "type": identity["type"],
            "userAssignedIdentities": {
                one["resourceId"]: {"principalId": one["principalId"], "clientId": one["clientId"]}
                for one in identity["userAssignedIdentities"]
            },
        }
    return resource


@cache
def _spellings() -> dict[str, dict[str, str]]:
    """Resource Manager's spelling of the values of its enums, by property."""
    text = files("azure_batch_emulator").joinpath("data/management_enums.json").read_text(encoding="utf-8")
    return {name: {value.lower(): value for value in values} for name, values in json.loads(text).items()}


def _spelled(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _spelled(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item, name) for item in value]
    if isinstance(value, str) and name in _spellings():
        return _spellings()[name].get(value.lower(), value)
    return value


def _object(given: dict, name: str) -> dict:
    value = given.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_property(name, value, "An object is expected.")
    return value
