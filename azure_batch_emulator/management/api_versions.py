"""What pools have in earlier api-versions of Resource Manager, and what they are called there.

Requests are turned into the current shape, answers back. https://learn.microsoft.com/azure/templates/microsoft.batch/change-log/batchaccounts/pools
"""

from typing import Any

from ..protocol import api_versions as batch
from ..protocol.errors import BatchError
from ..protocol.schema import check_value
from .errors import unknown_property

CURRENT = "2025-06-01"
API_VERSIONS = (
    CURRENT, "2024-07-01", "2024-02-01", "2023-11-01", "2023-05-01", "2022-10-01", "2022-06-01", "2022-01-01",
    "2021-06-01", "2021-01-01", "2020-09-01", "2020-05-01", "2020-03-01", "2019-08-01",
)  # fmt: skip
_SLOTS = "2021-01-01"  # until then taskSlotsPerNode was maxTasksPerNode
_LOST = ("certificates", *batch.KEPT_OF_POOLS)


def to_current(resource: dict, version: str) -> tuple[dict, dict]:
    """A pool's resource in the current shape, and what is to be kept of it beside that. A BatchError for what has
    ended, or is not in that version."""
    given = resource.get("properties")
    if not isinstance(given, dict):
        return resource, {}
    given = dict(given)
    kept: dict = {}
    if version < _SLOTS:
        if "taskSlotsPerNode" in given:
            raise unknown_property("properties.taskSlotsPerNode")
        if "maxTasksPerNode" in given:
            given["taskSlotsPerNode"] = given.pop("maxTasksPerNode")
    given.pop("currentNodeCommunicationMode", None)  # it can't be set
    for name in [name for name in _LOST if name in given]:
        if version == CURRENT:
            raise unknown_property(f"properties.{name}")
        if value := given.pop(name):
            kept |= _kept(name, value)
    return resource | {"properties": given}, kept


def _kept(name: str, value: Any) -> dict:
    if name == "certificates":
        raise BatchError(batch.CERTIFICATES[0], [("Reason", batch.CERTIFICATES[1])])
    if name == "resourceTags":
        return {name: check_value("map", value, f"properties.{name}")}
    return {name: batch.communication_mode(value, f"properties.{name}")}


def as_of(resource: dict, kept: dict, version: str) -> dict:
    """A pool's resource as clients of the api-version know it."""
    if version == CURRENT:
        return resource
    properties = dict(resource["properties"])
    if "resourceTags" in kept:
        properties["resourceTags"] = kept["resourceTags"]
    mode = kept.get("targetNodeCommunicationMode", "default")
    properties |= {
        "targetNodeCommunicationMode": mode.capitalize(),
        "currentNodeCommunicationMode": "Simplified",
    }
    if version < _SLOTS:
        properties["maxTasksPerNode"] = properties.pop("taskSlotsPerNode")
    return resource | {"properties": properties}
