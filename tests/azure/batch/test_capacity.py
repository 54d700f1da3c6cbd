"""What keeps a pool from having nodes, by the service's signs."""

import re
from datetime import timedelta

import pytest

from snakemake.azure.batch.capacity import Kind, assess, hint, is_short
from snakemake.azure.batch.pools import NodeView, PoolView

PATIENCE = timedelta(minutes=30)


def pool(*states, steady=True, target=2, errors=(), error=""):
    nodes = tuple(NodeView(f"n{i}", state, error) for i, state in enumerate(states))
    return PoolView("p", "Standard_D4ds_v5", steady, target, len(states), tuple(errors), nodes)


@pytest.mark.parametrize(
    "view, minutes, says",
    [
        (pool("idle", "unusable"), 99, None),
        (pool("creating", "starting"), 5, None),
        (pool("creating", "unusable", error="x"), 5, None),
        (pool(steady=False, errors=[("AccountCoreQuotaReached", "old")]), 5, None),
        (pool("creating", errors=[("AccountCoreQuotaReached", "m")]), 5, None),
        (pool(errors=[("AllocationFailed", "m")]), 5, "no machine of Standard_D4ds_v5 .*several"),
        (pool(errors=[("BatchOutOfCapacity", "m")]), 5, "no machine"),
        (pool(errors=[("OverconstrainedAllocationRequestError", "m")]), 5, "no machine"),
        (
            pool(errors=[("AllocationFailed", "m (cannot boot Hypervisor Generation '2')")]),
            5,
            "for this image",
        ),
        (pool(errors=[("AccountLowPriorityCoreQuotaReached", "m")]), 0, "quota.*Spot cores"),
        (pool(errors=[("AccountCoreQuotaReached", "m")]), 0, "quota.*dedicated cores.*--az-batch-vm-size"),
        (pool(errors=[("AccountVMSeriesCoreQuotaReached", "m")]), 0, "quota.*VM series"),
        (pool(errors=[("UnsupportedVMSize", "m")]), 0, "no nodes of Standard_D4ds_v5.*--az-batch-vm-size"),
        (pool("unusable", error="ContainerInvalidImage: not found"), 0, "not found.*--container-image"),
        (pool("unusable"), 5, None),
        (pool("unusable", "unknown"), 31, "30 minutes"),
        (pool("starttaskfailed", error="exit 1"), 0, "exit 1"),
        (pool("creating"), 30, "30 minutes.*--az-batch-node-timeout"),
        (pool(errors=[("AllocationFailed", "no room")]), 31, "no room"),
    ],
)
def test_assess(view, minutes, says):
    problem = assess(view, timedelta(minutes=minutes), PATIENCE)
    if says is None:
        assert problem is None
    else:
        assert problem is not None and re.search(says, problem.text) and "\n" not in problem.text


def test_shortage_is_asked_again_and_a_stale_error_is_not():
    shortage = [("AllocationFailed", "m")]
    assert is_short(pool("idle", errors=shortage))
    assert not is_short(pool("idle", steady=False, errors=shortage))
    assert not is_short(pool("idle", "idle", errors=shortage))
    assert is_short(pool("idle", errors=[("AccountCoreQuotaReached", "m")]))


def test_nodes_that_break_in_the_same_way_are_enough():
    fault = "ContainerInvalidImage: not found"
    assert assess(pool("creating", "unusable", error=fault), timedelta(0), PATIENCE) is None
    stopped = assess(pool("creating", "unusable", error=fault), timedelta(0), PATIENCE, [fault, fault])
    assert stopped and stopped.kind is Kind.BROKEN and "--container-image" in stopped.text
    others = assess(pool("creating", "unusable", error=fault), timedelta(0), PATIENCE, ["DiskFull: m", "x"])
    assert others is None
    assert assess(pool("idle", "unusable", error=fault), timedelta(0), PATIENCE, [fault] * 9) is None


@pytest.mark.parametrize(
    "error, gone, stops",
    [
        ("start task: FailureExitCode: exit 3", 0, False),
        ("start task: FailureExitCode: exit 3", 1, False),
        ("start task: FailureExitCode: exit 3", 2, True),
        ("DiskFull: no room", 0, False),
        ("ContainerInvalidImage: m; Image: r/i:1; Message: toomanyrequests: slow down", 0, False),
        ("ContainerInvalidImage: m; Image: r/i:1; Message: manifest unknown", 0, True),
        ("ContainerInvalidImage: m; Image: r/i:1; Message: pull access denied for i", 0, True),
        ("start task: FailureExitCode: image not found", 0, False),
    ],
)
def test_a_broken_node_that_is_replaced_is_not_the_end_yet(error, gone, stops):
    view = pool("unusable", error=error)
    assert assess(view, timedelta(0), PATIENCE, [error] * gone), "of a pool that can't have another one"
    found = assess(view, timedelta(0), PATIENCE, [error] * gone, replaced=True)
    assert bool(found) == stops


@pytest.mark.parametrize(
    "reason, option",
    [
        ("ContainerInvalidImage: no such image", "--container-image"),
        ("ContainerRegistryUnauthorized: denied", "login"),
        (
            "StartTaskFailed: Ephemeral mount detection and recovery failed, device=/dev/sdb1",
            "--az-batch-os-image",
        ),
        ("DiskFull: There is not enough disk space", "--az-batch-vm-size"),
        ("StartTaskFailed: exit 1", "--az-batch-start-task"),
    ],
)
def test_each_reason_names_what_helps(reason, option):
    assert option in hint(reason)
