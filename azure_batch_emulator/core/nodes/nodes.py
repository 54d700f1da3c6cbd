"""Nodes: they come, boot, run a start task, take tasks, and leave.

https://learn.microsoft.com/azure/batch/nodes-and-pools
"""

from ..entities import Failed, Goal, Node, NodeTask, Pool, Task
from ..instructions import BootNode, RemoveNode
from ..jobs import jobs
from ..machine import Machine
from ..pools import pools, usage
from ..runs import runs, start_preparation_release
from ..states import NODE, Stateful
from . import endpoints, faults


def create(m: Machine, pool: Pool, dedicated: bool) -> Node:
    node_id = f"tvmps_{m.hex(64)}_{'d' if dedicated else 'p'}"
    number = m.next_seq()
    slots = pool.spec["taskSlotsPerNode"]
    node = Node(node_id, pool.key, number, dedicated, slots, Stateful(NODE, "creating", m.now), m.now, m.now)
    endpoints.number(pool, node)
    usage.start_metering(m, node)
    pool.nodes[node_id] = node
    start_boot(m, node, m.profile.delay("boot", m.random) + faults.lateness(m))
    return node


def move(m: Machine, node: Node, state: str) -> None:
    node.lifecycle.move(node, state, m.now)
    m.offer(node)


def start_boot(m: Machine, node: Node, after: float) -> None:
    node.boot = m.next_seq()
    m.set_timer(after, "boot", node.pool, node.id, node.boot)


def wipe(m: Machine, node: Node) -> None:
    """It starts on another machine, or with an empty disk."""
    node.disk, node.start, node.errors = m.now, None, []
    node.preps, node.releases, node.users = {}, {}, {}


def boot(m: Machine, pool_key: str, node_id: str, number: int) -> None:
    """The machine is there; its images and its start task are not yet."""
    node = m.find_node(pool_key, node_id)
    if node is None or node.boot != number or node.state not in ("creating", "rebooting", "starting"):
        return
    keep = node.state == "rebooting"
    if node.state != "starting":
        move(m, node, "starting")
    spec = m.pools[pool_key].spec
    containers = spec["virtualMachineConfiguration"].get("containerConfiguration", {})
    m.emit(
        BootNode(
            pool_key,
            node_id,
            node.boot,
            keep,
            node.number,
            spec["vmSize"],
            node.slots,
            tuple(containers.get("containerImageNames", ())),
            tuple(containers.get("containerRegistries", ())),
            tuple(spec.get("applicationPackageReferences", ())),
            tuple(spec.get("mountConfiguration", ())),
        )
    )


def booted(m: Machine, pool_key: str, node_id: str, number: int, failure: Failed | None) -> None:
    node = m.find_node(pool_key, node_id)
    if node is None or node.state != "starting" or node.boot != number:
        return
    if failure is not None:
        node.errors.append(failure)
        move(m, node, "unusable")
        return
    if faults.boot_fails(m):
        faults.out_of_reach(m, node)
        return
    node.booted = m.now
    faults.await_mishaps(m, node)
    spec = m.pools[pool_key].spec.get("startTask")
    if spec is None:
        become_idle(m, node)
        return
    node.start = NodeTask("startup", spec)
    if spec["waitForSuccess"]:
        move(m, node, "waitingforstarttask")
    else:
        become_idle(m, node)
    start_preparation_release.begin(m, node, "start", node.start, None)


def become_idle(m: Machine, node: Node) -> None:
    move(m, node, "idle" if node.schedulable else "offline")


def start_task_over(m: Machine, node: Node) -> None:
    """The start task has completed, for good or ill."""
    assert node.start is not None
    if node.state != "waitingforstarttask":
        return
    if node.start.execution.result == "success":
        become_idle(m, node)
    else:
        move(m, node, "starttaskfailed")


def show_load(m: Machine, node: Node) -> None:
    """A node with tasks is running, one without is idle."""
    state = "running" if any(m.runs[run].kind != "release" for run in node.runs if run in m.runs) else "idle"
    if node.state in ("idle", "running") and node.state != state:
        node.lifecycle.move(node, state, m.now)
    m.offer(node)


def leave(m: Machine, node: Node, option: str) -> None:
    """The node takes no more tasks and goes when those on it are over."""
    pursue(m, node, "leave", option)


def pursue(m: Machine, node: Node, goal: Goal, option: str) -> None:
    """Gives the node a goal for when its tasks are over: ended, requeued, or (taskcompletion) done; with
    retaineddata when their files have been cleaned up as well."""
    node.goal, node.retaining = goal, option == "retaineddata"
    m.offer(node)
    if option not in ("taskcompletion", "retaineddata"):
        runs.kill_node_runs(m, node, "end" if option == "terminate" else "requeue")
    proceed(m, node)


def proceed(m: Machine, node: Node) -> None:
    """Does what the node is to do next, once nothing on it stands in the way."""
    if node.goal is None or node.state == "leavingpool":
        return
    if node.runs or (node.retaining and _holds_data(m, node)):
        return
    if node.goal != "leave":
        timer, delay = _STEPS[node.goal]
        node.goal, node.retaining = None, False
        m.kept_data.pop(node.id, None)
        m.set_timer(m.profile.delay(delay, m.random), timer, node.pool, node.id, node.boot)
        return
    move(m, node, "leavingpool")
    # Jobs must not wait for what ran here.
    node.preps, node.releases = {}, {}
    m.set_timer(m.profile.delay("removal", m.random), "remove-node", node.pool, node.id)


_STEPS = {
    "reboot": ("boot", "reboot"),
    "deallocate": ("deallocated", "removal"),
    "restore": ("restore", "restoration"),
    "recover": ("recover", "recovery"),
}


def _holds_data(m: Machine, node: Node) -> bool:
    """Whether files of tasks are kept on a node that nothing runs on. As these only become fewer there, they are sought
    once, for all such nodes of the pool, and not among all tasks again whenever one of them goes."""
    known = m.kept_data.get(node.id)
    if known is None or known[0] != node.total_run:
        _seek_data(m, m.pools[node.pool])
    kept = m.kept_data[node.id][1]
    while kept and not _is_kept(m, node, kept[-1]):
        kept.pop()
    return bool(kept)


def _is_kept(m: Machine, node: Node, task: Task) -> bool:
    job = m.jobs.get(task.job)
    return job is not None and job.tasks.get(task.key) is task and node.holds(task)


def _seek_data(m: Machine, pool: Pool) -> None:
    found: dict[str, list[Task]] = {}
    for node in pool.nodes.values():
        if not node.runs:  # also those that nobody has asked about yet: many are given up together
            found[node.id] = []
            m.kept_data[node.id] = node.total_run, found[node.id]
    for job in m.jobs_on(pool.key):
        for task in job.tasks.values():
            if task.files == "kept":
                for _, name in task.places:
                    if name in found and pool.nodes[name].holds(task):
                        found[name].append(task)


def take_down(m: Machine, pool_key: str, node_id: str) -> None:
    if m.find_node(pool_key, node_id) is not None:
        m.emit(RemoveNode(pool_key, node_id))


def removed(m: Machine, pool_key: str, node_id: str) -> None:
    """The engine has taken the node down."""
    pool = m.pools.get(pool_key)
    node = pool.nodes.pop(node_id, None) if pool else None
    if pool is None or node is None:
        return
    m.kept_data.pop(node_id, None)
    usage.stop_metering(m, pool, node)
    pool.free.set(node.id, node.number, 0)
    for job in m.jobs_on(pool_key):
        jobs.settle(m, job)
    pools.settle(m, pool)
