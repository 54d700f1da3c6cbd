"""What lists of pools can be filtered by and cut down to.

https://learn.microsoft.com/rest/api/batchmanagement/pool/list-by-batch-account
"""

from ..core.views import lists
from ..protocol.errors import invalid_query
from ..protocol.odata import EQUAL, TEXT, Field, parse_select
from . import pool_conversion

POOLS = {
    "name": lists.POOLS["id"],
    **{
        f"properties/{name}": lists.POOLS[name]
        for name in (
            "allocationState",
            "allocationStateTransitionTime",
            "creationTime",
            "lastModified",
            "vmSize",
        )
    },
    "properties/provisioningState": Field(
        "string", lambda p: "Succeeded" if p.state == "active" else "Deleting", EQUAL
    ),
    "properties/provisioningStateTransitionTime": lists.POOLS["stateTransitionTime"],
    "properties/interNodeCommunication": Field(
        "string", lambda p: "Enabled" if p.spec["enableInterNodeCommunication"] else "Disabled", EQUAL
    ),
    "properties/scaleSettings/autoScale": Field("string", lambda p: p.spec.get("autoScaleFormula"), TEXT),
    "properties/scaleSettings/fixedScale": Field(
        "string", lambda p: None if p.scaling else p.spec["resizeTimeout"], TEXT
    ),
}


def selected(text: str | None) -> frozenset[str] | None:
    """The properties that a `$select` such as `properties/vmSize,properties/metadata` names; None for all."""
    names = [name.strip() for name in text.split(",")] if text else []
    for name in names:
        if not name.startswith("properties/"):
            raise invalid_query("$select", text, f"There is no '{name}' below properties/ to select.")
    return parse_select(
        ",".join(name.removeprefix("properties/") for name in names), pool_conversion.PROPERTIES
    )
