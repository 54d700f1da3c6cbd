"""What a node does when its tasks are over: it leaves, reboots, is deallocated, comes back.

https://learn.microsoft.com/azure/batch/nodes-and-pools
"""

from ..entities import Goal, Node, Pool, Task
from ..events import NodeRemoved, RunEnded, TaskFilesDeleted
from ..instructions import RemoveNode
from ..machine import Machine
from ..runs.killing import kill_node_runs
from . import usage
from .transitions import move

# By goal: the timer that is set once nothing stands in the way, and which delay of the profile it takes.
_STEPS = {
    "reboot": ("boot", "reboot"),
    "deallocate": ("deallocated", "removal"),
    "restore": ("restore", "restoration"),
    "recover": ("recover", "recovery"),
}


def leave(m: Machine, node: Node, option: str) -> None:
    """The node takes no more tasks and goes when those on it are over."""
    pursue(m, node, "leave", option)


def pursue(m: Machine, node: Node, goal: Goal, option: str) -> None:
    """Gives the node a goal for when its tasks are over: ended, requeued, or (taskcompletion) done; with
    retaineddata when their files have been cleaned up as well."""
    node.goal, node.retaining = goal, option == "retaineddata"
    m.offer(node)
    if option not in ("taskcompletion", "retaineddata"):
        kill_node_runs(m, node, "end" if option == "terminate" else "requeue")
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


def on_run_ended(m: Machine, event: RunEnded) -> None:
    for node in event.nodes:
        proceed(m, node)


def on_task_files_deleted(m: Machine, event: TaskFilesDeleted) -> None:
    proceed(m, event.node)


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
    """The time that a removal takes is over."""
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
    m.tell(NodeRemoved(pool))
