"""Requests on pools. https://learn.microsoft.com/rest/api/batchservice/pools"""

from ...protocol.errors import BatchError, invalid_property
from ...protocol.wire import format_time, parse_duration
from .. import chance
from ..bodies import applications
from ..bodies.checks import check_display_name, check_range, check_storage
from ..bodies.mounts import check_possible
from ..bodies.pool_properties import check_properties
from ..bodies.pool_specs import check_image, pool_spec, start_task
from ..bodies.task_specs import check_fits
from ..entities import Pool
from ..machine import Machine
from ..nodes import leaving
from ..states import ALLOCATION, POOL, Stateful
from . import quotas, scaling
from .checks import check_active, check_steady
from .resizing import give_up, set_targets, settle, start_resize

# The service takes changes of these only while the pool has no nodes.
ONLY_WHEN_EMPTY = {
    "vmSize", "virtualMachineConfiguration", "taskSlotsPerNode", "taskSchedulingPolicy", "networkConfiguration",
    "userAccounts", "mountConfiguration", "upgradePolicy", "enableInterNodeCommunication",
}  # fmt: skip
MAX_REMOVALS = 100  # "nodeList" of BatchNodeRemoveOptions


def create(m: Machine, body: dict) -> Pool:
    spec = pool_spec(body, m.catalogue, format_time(m.now))
    quotas.check_pools(m)
    if (there := m.pools.get(spec["id"].lower())) is not None:
        raise BatchError(
            "PoolBeingCreated" if there.found is not None and m.now < there.found else "PoolExists"
        )
    spec["cores"] = m.catalogue.sizes[spec["vmSize"].lower()].cores
    pool = Pool(
        spec["id"],
        spec,
        m.now,
        m.now,
        m.new_etag(),
        Stateful(POOL, "active", m.now),
        Stateful(ALLOCATION, "steady", m.now),
    )
    pool.statistics = m.open_ledger()
    pool.found = chance.found_from(m)
    m.pools[pool.key] = pool
    set_targets(m, pool, spec.pop("targetDedicatedNodes"), spec.pop("targetLowPriorityNodes"), "requeue")
    if spec["enableAutoScale"]:
        scaling.begin(m, pool, spec["autoScaleFormula"], spec["autoScaleEvaluationInterval"])
    return pool


def resize(m: Machine, pool: Pool, body: dict) -> None:
    check_active(pool)
    if "targetDedicatedNodes" not in body and "targetLowPriorityNodes" not in body:
        raise invalid_property("targetDedicatedNodes", "", "At least one of the two targets is needed.")
    for name in ("targetDedicatedNodes", "targetLowPriorityNodes"):
        check_range(name, body.get(name, 0), 0, 2**31 - 1)
    timeout = check_timeout(body)
    scaling.check_off(pool)
    check_steady(pool)
    if timeout:
        pool.spec["resizeTimeout"] = timeout
    m.touch(pool)
    set_targets(
        m,
        pool,
        body.get("targetDedicatedNodes", pool.dedicated),
        body.get("targetLowPriorityNodes", pool.low_priority),
        body.get("nodeDeallocationOption", "requeue"),
    )


def stop_resize(m: Machine, pool: Pool) -> None:
    """The pool's entity tag stays, as recorded."""
    check_active(pool)
    if pool.allocation.state != "resizing":
        raise BatchError("OperationInvalidForCurrentState", [("Reason", "The pool is not being resized.")])
    pool.allocation.move(pool, "stopping", m.now)
    give_up(pool, "ResizeStopped", " due to a stop resize operation")
    settle(m, pool)


def remove_nodes(m: Machine, pool: Pool, body: dict) -> None:
    check_active(pool)
    wanted = body["nodeList"]
    if not 1 <= len(wanted) <= MAX_REMOVALS:
        raise invalid_property(
            "nodeList", len(wanted), f"From 1 to {MAX_REMOVALS} nodes can be removed at once."
        )
    timeout = check_timeout(body)
    # https://github.com/Azure/BatchExplorer/issues/2082; ga4gh-tes turns autoscaling off to remove nodes.
    scaling.check_off(pool)
    check_steady(pool)
    chosen = [pool.nodes.get(node_id.lower()) for node_id in dict.fromkeys(wanted)]
    if None in chosen:
        raise BatchError("NodeNotFound")
    if timeout:
        pool.spec["resizeTimeout"] = timeout
    m.touch(pool)
    pool.errors = []
    start_resize(m, pool)
    for node in chosen:
        assert node is not None
        if node.dedicated:
            pool.dedicated -= 1
        else:
            pool.low_priority -= 1
        leaving.leave(m, node, body.get("nodeDeallocationOption", "requeue"))
    pool.dedicated, pool.low_priority = max(0, pool.dedicated), max(0, pool.low_priority)
    settle(m, pool)


def delete(m: Machine, pool: Pool) -> None:
    check_active(pool)
    pool.lifecycle.move(pool, "deleting", m.now)
    m.touch(pool)
    pool.pending = False
    pool.dedicated = pool.low_priority = 0
    if pool.allocation.state == "steady" and pool.nodes:
        start_resize(m, pool)
    for node in list(pool.nodes.values()):
        leaving.leave(m, node, "requeue")
    settle(m, pool)


def update(m: Machine, pool: Pool, body: dict) -> None:
    """Requests on pools. https://learn.microsoft.com/rest/api/batchservice/pools"""
    check_active(pool)
    check_display_name(body)
    check_storage(body, m.catalogue)
    applications.check_pool(body.get("applicationPackageReferences", []), m.catalogue.applications)
    if ONLY_WHEN_EMPTY & set(body) and pool.nodes:
        raise BatchError("OperationInvalidForCurrentState", [("Reason", "The pool still has nodes.")])
    size = m.catalogue.sizes.get(body.get("vmSize", pool.spec["vmSize"]).lower())
    if size is None:
        raise invalid_property(
            "vmSize", body["vmSize"], "The specified vmSize is not supported in this region."
        )
    if "virtualMachineConfiguration" in body:
        check_image(body["virtualMachineConfiguration"], m.catalogue, format_time(m.now))
    check_properties(pool.spec | body)
    if "mountConfiguration" in body:
        check_possible(pool.spec | body, m.catalogue.mountable)
    check_range(
        "taskSlotsPerNode",
        body.get("taskSlotsPerNode", pool.spec["taskSlotsPerNode"]),
        1,
        min(4 * size.cores, 256),
    )
    if "startTask" in body:
        body["startTask"] = start_task(body["startTask"])
        check_fits(body["startTask"], pool.spec | body, "startTask/", needed=False)
    pool.spec.update(body, cores=size.cores)
    m.touch(pool)


def replace_properties(m: Machine, pool: Pool, body: dict) -> None:
    """Requests on pools. https://learn.microsoft.com/rest/api/batchservice/pools"""
    check_active(pool)
    check_storage(body, m.catalogue)
    applications.check_pool(body["applicationPackageReferences"], m.catalogue.applications)
    task = start_task(body["startTask"]) if "startTask" in body else None
    if task:
        check_fits(task, pool.spec, "startTask/", needed=False)
    pool.spec.pop("startTask", None)
    if task:
        pool.spec["startTask"] = task
    pool.spec["metadata"] = body["metadata"]
    pool.spec["applicationPackageReferences"] = body["applicationPackageReferences"]
    if "targetNodeCommunicationMode" in body:  # of earlier api-versions
        pool.spec["targetNodeCommunicationMode"] = body["targetNodeCommunicationMode"]
    m.touch(pool)


def check_timeout(body: dict) -> str | None:
    timeout = body.get("resizeTimeout")
    if timeout and parse_duration(timeout) < parse_duration("PT5M"):
        raise invalid_property("resizeTimeout", timeout, "The least value is 5 minutes.")
    return timeout
