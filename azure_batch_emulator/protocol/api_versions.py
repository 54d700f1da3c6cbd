"""What earlier api-versions have that the current one has lost or calls otherwise, as far as clients depend on it.

Requests are turned into the current shape, answers back. What a lost property was for has mostly ended with it, so a
request that needs it is refused. Versions begin with their date, so they compare as texts.
https://learn.microsoft.com/rest/api/batchservice/batch-service-rest-api-versioning
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from .. import API_VERSIONS
from .errors import BatchError, invalid_property
from .schema import api, check_value

CURRENT = API_VERSIONS[0]
TOKEN = "authenticationTokenSettings"
KEPT_OF_POOLS = ("targetNodeCommunicationMode", "resourceTags")
KEPT = (*KEPT_OF_POOLS, TOKEN)
"""Properties of pools and tasks that are kept and shown, to clients of earlier versions alone."""

CERTIFICATES = ("InvalidRestAPIForAccountSetting", "Certificates were retired on 29 February 2024.")
_MODES = ("default", "simplified", "classic")
_ENDED = {
    "cloudServiceConfiguration": "Pools of Cloud Services were retired on 29 February 2024.",
    "applicationLicenses": "Licenses for rendering were retired on 29 February 2024.",
}
_POOL = {"certificateReferences", "targetNodeCommunicationMode", "resourceTags"}
# Where a job, or a schedule's, has the task that manages it.
_MANAGED = ("jobManagerTask", "jobSpecification")
_MORE: dict[str, set[str]] = {
    "BatchPool": {"currentNodeCommunicationMode", *_POOL},
    "BatchPoolCreateOptions": {*_ENDED, *_POOL},
    "BatchPoolSpecification": {*_ENDED, *_POOL},
    "BatchPoolUpdateOptions": _POOL,
    "BatchPoolReplaceOptions": _POOL,
    "BatchTask": {TOKEN},
    "BatchTaskCreateOptions": {TOKEN},
    "BatchJobManagerTask": {TOKEN},
    "DataDisk": {"storageAccountType"},
}
# Properties that had another name until a version: model, that version, the old name, the present one.
_RENAMED = (
    ("BatchPool", "2020-09-01", "maxTasksPerNode", "taskSlotsPerNode"),
    ("BatchPoolCreateOptions", "2020-09-01", "maxTasksPerNode", "taskSlotsPerNode"),
    ("BatchPoolSpecification", "2020-09-01", "maxTasksPerNode", "taskSlotsPerNode"),
    ("ResourceFile", "2018-12-01", "blobSource", "httpUrl"),
)
SLOT_COUNTS = "2020-09-01"  # from then on, tasks are counted by slots too
VALIDATED_COUNTS = "2018-08-01"  # until then, counts said whether they had been validated
# Recorded until 2023-05-01.17.0; the description has lower case for all versions.
CAPITALS = "2023-05-02"
_CAPITALS = {
    "nodeFillType": {"spread": "Spread", "pack": "Pack"},
    "status": {"success": "Success", "clienterror": "ClientError", "servererror": "ServerError"},
    "category": {"usererror": "UserError", "servererror": "ServerError"},
    "result": {"success": "Success", "failure": "Failure"},
}


def names(model: str, version: str) -> set[str]:
    """The properties that an answer may have."""
    renamed = _old_names(model, version)
    current = {renamed.get(name, name) for name in api()["models"].get(model, ())}
    return {*current, *(_MORE.get(model, ()) if version != CURRENT else ())}


def _old_names(model: str, version: str) -> dict[str, str]:
    """The names of the version by those of today, where they differ."""
    return {new: old for where, until, old, new in _RENAMED if where == model and version < until}


def to_current(model: str, body: dict, version: str) -> tuple[dict, dict]:
    """A request's body in the current shape, and what is to be kept beside it. A BatchError for what has ended."""
    if version == CURRENT:
        return body, {}
    return _parted(_visit(model, body, partial(_modern, version), ""))


def joined(body: dict, kept: dict) -> dict:
    """A checked body with what `to_current` took out of it."""
    if not kept:
        return body
    return body | {n: joined(body[n], value) if n in _MANAGED else value for n, value in kept.items()}


def as_of(model: str, shown: dict, version: str) -> dict:
    """An answer as clients of the api-version know it."""
    if version == CURRENT:
        return _parted(shown)[0]
    if model == "BatchTaskCountsResult":
        return _counts(shown, version)
    if model == "BatchPool":
        modes = {"targetNodeCommunicationMode": "default", "currentNodeCommunicationMode": "simplified"}
        shown = _visit(model, modes | shown, _ancient, "")
    if version < CAPITALS:
        shown = capitalised(shown)
    if version < _RENAMED[0][1]:
        shown = _visit(model, shown, partial(_renamed, version), "")
    return shown


def _counts(shown: dict, version: str) -> dict:
    if version >= SLOT_COUNTS:
        return shown
    tasks = shown["taskCounts"]
    return tasks | ({"validationStatus": "Validated"} if version < VALIDATED_COUNTS else {})


def capitalised(value: Any, name: str = "") -> Any:
    """An answer with the values of enums as the service was recorded to spell them for earlier versions."""
    if isinstance(value, dict):
        return {key: capitalised(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [capitalised(item, name) for item in value]
    if isinstance(value, str) and name in _CAPITALS:
        return _CAPITALS[name].get(value.lower(), value)
    return value


def _renamed(version: str, model: str, value: dict, path: str) -> dict:
    old = _old_names(model, version)
    return {old.get(name, name): item for name, item in value.items()} if old else value


def _parted(value: dict) -> tuple[dict, dict]:
    """An object without the properties that only earlier versions have, and those alone."""
    kept = {name: value[name] for name in KEPT if name in value}
    rest = {name: item for name, item in value.items() if name not in kept} if kept else value
    for name in _MANAGED:
        if isinstance(value.get(name), dict):
            below, more = _parted(value[name])
            if more:
                rest, kept = rest | {name: below}, kept | {name: more}
    return rest, kept


def _visit(model: str, value: Any, change: Callable[[str, dict, str], dict], path: str) -> Any:
    """Applies `change(model, object, path)` to a value of `model` and all objects below it, from the inside out."""
    if model.startswith("[") and isinstance(value, list):
        return [
            _visit(model[1:-1], item, change, f"{path.rstrip('/')}[{i}]/") for i, item in enumerate(value)
        ]
    if not isinstance(value, dict) or model not in api()["models"]:
        return value
    fields = api()["models"][model]
    kinds = {name: fields.get(name, "").partition(" ")[0].rstrip("?") for name in value}
    return change(
        model,
        {name: _visit(kinds[name], item, change, f"{path}{name}/") for name, item in value.items()},
        path,
    )


def _modern(version: str, model: str, value: dict, path: str) -> dict:
    for new, old in _old_names(model, version).items():
        if new in value:
            raise _unknown(path + new)
        if old in value:
            value[new] = value.pop(old)
    if model == "NetworkConfiguration" and version < "2020-03-01" and "publicIPs" in value:
        addresses = value.pop("publicIPs")
        if addresses:
            value["publicIPAddressConfiguration"] = {"provision": "usermanaged", "ipAddressIds": addresses}
    for name in _MORE.get(model, set()) & set(value):
        given = value.pop(name)
        if not given:
            continue
        if name in _ENDED:
            raise invalid_property(path + name, "", _ENDED[name])
        if name == "certificateReferences":
            raise BatchError(CERTIFICATES[0], [("Reason", CERTIFICATES[1])])
        if name == "storageAccountType":
            value.setdefault("managedDisk", {name: given})
        elif name == "resourceTags":
            value[name] = check_value("map", given, path + name)
        elif name == "targetNodeCommunicationMode":
            value[name] = communication_mode(given, path + name)
        elif name == TOKEN:
            value[name] = _token_settings(given, path + name)
    if path and model != "BatchJobManagerTask":
        # Of the pools that jobs bring with them, nothing of it is ever shown.
        value = {name: item for name, item in value.items() if name not in KEPT}
    return value


def _unknown(path: str) -> BatchError:
    reason = f"The property '{path}' does not exist in this api-version."
    return BatchError("InvalidRequestBody", [("Reason", reason), ("PropertyPath", path)])


def _token_settings(given: object, name: str) -> dict:
    """https://learn.microsoft.com/rest/api/batchservice/task/add#authenticationtokensettings"""
    settings = check_value("AuthenticationTokenSettings", given, name)
    return settings if settings.get("access") else {}


def communication_mode(given: object, name: str) -> str:
    """How nodes talk to the service, in lower case; a BatchError for what has ended."""
    mode = check_value("str", given, name).lower()
    if mode not in _MODES:
        raise invalid_property(name, given, f"One of {', '.join(_MODES)} is expected.")
    if mode == "classic":
        raise invalid_property(name, given, "Classic communication with nodes was retired on 31 March 2026.")
    return mode


def _ancient(model: str, value: dict, path: str) -> dict:
    if model == "DataDisk" and "storageAccountType" in value.get("managedDisk", {}):
        return value | {"storageAccountType": value["managedDisk"]["storageAccountType"]}
    return value
