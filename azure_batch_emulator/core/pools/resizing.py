"""Resizes: a pool's targets, which nodes it asks for, and which go.

A resize sets targets; nodes that are missing are allocated; nodes that are too many leave, each when its tasks allow
it. The allocation is steady again when nothing is awaited and nobody is leaving.
"""

from dataclasses import replace

from ...protocol.wire import parse_duration
from .. import chance
from ..entities import Node, Pool, ResizeError
from ..events import NodeRemoved
from ..machine import Machine
from ..nodes import leaving

KINDS = {True: "dedicated", False: "low priority"}


def set_targets(m: Machine, pool: Pool, dedicated: int, low_priority: int, option: str) -> None:
    """Also while the pool is resizing, as autoscaling does it: the resize under way goes on to the new targets."""
    pool.dedicated, pool.low_priority = dedicated, low_priority
    pool.errors = []
    if missing(pool, True) == 0 == missing(pool, False):
        return
    if pool.allocation.state == "steady":
        start_resize(m, pool)
    for kind in (True, False):
        if (surplus := -missing(pool, kind)) > 0:
            for node in pick_surplus(m, pool, kind, surplus):
                leaving.leave(m, node, option)
    ask_for_nodes(m, pool)


def start_resize(m: Machine, pool: Pool) -> None:
    """A resize begins, which ends by itself at its timeout."""
    pool.allocation.move(pool, "resizing", m.now)
    pool.resize = m.next_seq()
    m.set_timer(parse_duration(pool.spec["resizeTimeout"]), "resize-timeout", pool.key, pool.resize)


def missing(pool: Pool, dedicated: bool) -> int:
    """How many nodes of a kind the pool is short of; negative when it has too many."""
    target = pool.dedicated if dedicated else pool.low_priority
    return target - sum(1 for node in pool.nodes.values() if node.dedicated == dedicated and not node.leaving)


def pick_surplus(m: Machine, pool: Pool, dedicated: bool, count: int) -> list[Node]:
    """Which nodes go first: those that are no use, then the idle, then those with the fewest tasks, youngest first;
    those with job manager tasks stay as long as they can. "The Batch service chooses", and does not say how: by the
    profile's rate it is any of them.
    """
    candidates = [node for node in pool.nodes.values() if node.dedicated == dedicated and not node.leaving]
    if chance.resizes_blindly(m):
        m.random.shuffle(candidates)
        return candidates[:count]

    def worth(node: Node) -> tuple:
        tasks = [run.task for name in node.runs if (run := m.runs.get(name)) and run.task]
        return node.usable, any(task.manager for task in tasks), len(node.runs), -node.number

    candidates.sort(key=worth)
    return candidates[:count]


def ask_for_nodes(m: Machine, pool: Pool) -> None:
    """Asks for the nodes that a pool is short of, unless they have been asked for."""
    if not pool.pending and (missing(pool, True) > 0 or missing(pool, False) > 0):
        pool.pending = True
        m.set_timer(m.profile.delay("allocation", m.random), "allocate", pool.key, pool.resize)


def settle(m: Machine, pool: Pool) -> None:
    """Ends a resize, or a pool that is being deleted, when nothing is under way any more."""
    if any(node.leaving for node in pool.nodes.values()):
        return
    if pool.state == "deleting":
        if not pool.nodes:
            del m.pools[pool.key]
    elif pool.allocation.state != "steady" and not pool.pending:
        pool.allocation.move(pool, "steady", m.now)


def on_node_removed(m: Machine, event: NodeRemoved) -> None:
    settle(m, event.pool)


def resize_timed_out(m: Machine, pool_key: str, resize: int) -> None:
    pool = m.pools.get(pool_key)
    if pool is None or pool.resize != resize or pool.allocation.state == "steady" or pool.state != "active":
        return
    if pool.pending:
        give_up(pool, "AllocationTimedout", " as the resize timeout was reached")
    pool.allocation.move(pool, "steady", m.now)


def give_up(pool: Pool, code: str, because: str) -> None:
    """No more nodes will come in this resize."""
    pool.pending = False
    for kind in (True, False):
        if missing(pool, kind) > 0:
            note(pool, could_not(code, kind, because=because))


def note(pool: Pool, error: ResizeError) -> None:
    """Shows an error of the resize, each once."""
    if error not in pool.errors:
        pool.errors.append(error)


def could_not(code: str, dedicated: bool, reason: str = "", because: str = "") -> ResizeError:
    text = f"Desired number of {KINDS[dedicated]} nodes could not be allocated{because}"
    return ResizeError(code, text, reason)


def refused(code: str, dedicated: bool, reason: str, provider: str) -> ResizeError:
    """What the provider of the machines says is in the error's values."""
    return replace(could_not(code, dedicated, reason), provider=provider)
