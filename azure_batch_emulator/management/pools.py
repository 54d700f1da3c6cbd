"""Pools, as Resource Manager makes and changes them: on the same machine as the Batch service's requests.

https://learn.microsoft.com/rest/api/batchmanagement/pool
"""

from ..core.bodies.checks import check_range
from ..core.bodies.pool_specs import check_formula, check_interval
from ..core.entities import Pool
from ..core.machine import Machine
from ..core.pools import pools, scaling
from ..core.pools.checks import check_active, check_steady
from ..core.views import views
from ..protocol.conditions import Conditions
from ..protocol.errors import BatchError
from ..protocol.schema import check_model, check_value
from ..protocol.wire import format_time
from . import api_versions, pool_conversion
from .errors import property_cannot_be_updated


def put(m: Machine, pool_id: str, resource: dict, version: str, conditions: Conditions) -> Pool:
    """Makes the pool, or gives one that exists what `resource` says; what it leaves out is taken away."""
    resource, kept = api_versions.to_current(resource, version)
    pool = m.pools.get(pool_id.lower())
    if pool is not None:
        return _change(m, pool, resource, kept, conditions, replace=True)
    if conditions.match is not None:
        raise BatchError("ConditionNotMet")
    body = pool_conversion.to_batch(resource)
    _option(body)
    spec = check_model("BatchPoolCreateOptions", body | {"id": pool_id}, "")
    if identity := pool_conversion.to_identity(resource):
        spec["identity"] = identity
    tags = pool_conversion.to_tags(resource)
    pool = pools.create(m, spec | kept)
    pool.tags = tags
    return pool


def patch(m: Machine, pool_id: str, resource: dict, version: str, conditions: Conditions) -> Pool:
    resource, kept = api_versions.to_current(resource, version)
    return _change(m, m.pool(pool_id), resource, kept, conditions, replace=False)


def delete(m: Machine, pool_id: str) -> Pool | None:
    """Begins the deletion; one that is under way is fine. None where there is no such pool."""
    pool = m.pools.get(pool_id.lower())
    if pool is not None and pool.state != "deleting":
        pools.delete(m, pool)
    return pool


def disable_auto_scale(m: Machine, pool_id: str) -> Pool:
    pool = m.pool(pool_id)
    scaling.disable(m, pool)
    return pool


def stop_resize(m: Machine, pool_id: str) -> Pool:
    pool = m.pool(pool_id)
    pools.stop_resize(m, pool)
    return pool


def show(pool: Pool, resource_id: str, version: str) -> dict:
    resource = pool_conversion.to_arm(views.pool(pool, ""), resource_id, pool.tags, _resize(pool))
    return api_versions.as_of(resource, pool.spec, version)


def _resize(pool: Pool) -> dict:
    """The resize under way, or the last one."""
    resizing = pool.allocation.state != "steady"
    start = pool.allocation.since if resizing else pool.allocation.previous_since or pool.created
    shown = {
        "targetDedicatedNodes": pool.dedicated,
        "targetLowPriorityNodes": pool.low_priority,
        "resizeTimeout": pool.spec["resizeTimeout"],
        "nodeDeallocationOption": "Requeue",
        "startTime": format_time(start),
    }
    if errors := views.pool(pool, "").get("resizeErrors"):
        shown["errors"] = errors
    return shown


def _change(
    m: Machine, pool: Pool, resource: dict, kept: dict, conditions: Conditions, *, replace: bool
) -> Pool:
    """Everything that can be refused is refused before anything changes."""
    conditions.check("PUT", pool.etag, pool.modified)
    check_active(pool)
    body = pool_conversion.to_batch(resource)
    option = _option(body)
    given = check_model("BatchPoolCreateOptions", _completed(body, pool), "")
    given = {name: value for name, value in given.items() if name in body}
    identity = pool_conversion.to_identity(resource) if "identity" in resource else pool.spec.get("identity")
    tags = pool_conversion.to_tags(resource) if replace or "tags" in resource else pool.tags
    scale = {name: given.pop(name) for name in _SCALE if name in given}
    changed = {name: value for name, value in given.items() if pool.spec.get(name) != value}
    if pool.nodes and (fixed := sorted(pools.ONLY_WHEN_EMPTY & set(changed))):
        raise property_cannot_be_updated(fixed[0])
    _check_scale(m, pool, scale)
    pools.update(m, pool, changed)
    if replace:
        for name in {"displayName", "startTask", "metadata"} - set(given):
            pool.spec.pop(name, None)
    if identity is None:
        pool.spec.pop("identity", None)
    else:
        pool.spec["identity"] = identity
    pool.spec |= kept
    pool.tags = tags
    _scale(m, pool, scale, option)
    return pool


_SCALE = {
    "enableAutoScale", "autoScaleFormula", "autoScaleEvaluationInterval", "targetDedicatedNodes",
    "targetLowPriorityNodes", "resizeTimeout",
}  # fmt: skip


def _completed(body: dict, pool: Pool) -> dict:
    return {"id": pool.id, "vmSize": pool.spec["vmSize"]} | body


def _option(body: dict) -> str:
    """What becomes of tasks on nodes that a resize takes away: of the request alone, it is not kept."""
    given = body.pop("nodeDeallocationOption", "requeue")
    return check_value("enum:BatchNodeDeallocationOption", given, "nodeDeallocationOption")


def _targets(pool: Pool, scale: dict) -> tuple[int, int]:
    return (
        scale.get("targetDedicatedNodes", pool.dedicated),
        scale.get("targetLowPriorityNodes", pool.low_priority),
    )


def _scales_anew(pool: Pool, scale: dict) -> bool:
    now = pool.scaling
    interval = scale.get("autoScaleEvaluationInterval", now.interval if now else None)
    return now is None or (now.formula, now.interval) != (scale["autoScaleFormula"], interval)


def _check_scale(m: Machine, pool: Pool, scale: dict) -> None:
    if scale.get("enableAutoScale"):
        check_formula(scale["autoScaleFormula"])
        if "autoScaleEvaluationInterval" in scale:
            check_interval(scale["autoScaleEvaluationInterval"])
        if _scales_anew(pool, scale):
            check_steady(pool)
            scaling.check_period(m, pool)
    elif scale:
        for name, target in zip(_TARGET_NAMES, _targets(pool, scale), strict=True):
            check_range(name, target, 0, 2**31 - 1)
        pools.check_timeout(scale)
        if _targets(pool, scale) != (pool.dedicated, pool.low_priority):
            check_steady(pool)


_TARGET_NAMES = ("targetDedicatedNodes", "targetLowPriorityNodes")


def _scale(m: Machine, pool: Pool, scale: dict, option: str) -> None:
    if scale.get("enableAutoScale"):
        if _scales_anew(pool, scale):
            scaling.enable(m, pool, {name: scale[name] for name in scale if name.startswith("autoScale")})
    elif scale:
        scaling.disable(m, pool)
        if "resizeTimeout" in scale:
            pool.spec["resizeTimeout"] = scale["resizeTimeout"]
        if _targets(pool, scale) != (pool.dedicated, pool.low_priority):
            wanted = dict(zip(_TARGET_NAMES, _targets(pool, scale), strict=True))
            pools.resize(m, pool, wanted | {"nodeDeallocationOption": option})
