"""Steps that several of a node's ways share: another state, a start, an empty disk."""

from ..entities import Node
from ..machine import Machine


def move(m: Machine, node: Node, state: str) -> None:
    """Another state, which tasks may or may not be placed in."""
    node.lifecycle.move(node, state, m.now)
    m.offer(node)


def start_boot(m: Machine, node: Node, after: float) -> None:
    """The node boots in so many seconds; reports and timers of an earlier start count no more."""
    node.boot = m.next_seq()
    m.set_timer(after, "boot", node.pool, node.id, node.boot)


def wipe(m: Machine, node: Node) -> None:
    """It starts on another machine, or with an empty disk."""
    node.disk, node.start, node.errors = m.now, None, []
    node.preps, node.releases, node.users = {}, {}, {}


def become_idle(m: Machine, node: Node) -> None:
    """The node takes tasks from now on, unless its scheduling has been disabled."""
    move(m, node, "idle" if node.schedulable else "offline")
