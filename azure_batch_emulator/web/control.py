"""What tests and users can do to the service from outside of it: preempt or lose a node, let the next things fail.

`Emulator.control` has one; over HTTP it is `/-/...`, see docs/emulator/control.md.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..core import chance
from ..core.entities import Node
from ..core.machine import Machine
from ..core.nodes import disks, faults
from ..engine.engine import Engine
from ..identity.roles import Roles
from ..protocol.errors import BatchError, invalid_property
from . import outages
from .outages import Outages
from .request_faults import KINDS, RequestFaults

NO_OUTAGE = {"kind": outages.BUSY, "seconds": 0.0}
NO_START = 126
"""What a container engine exits with when it can't start the command."""


class Control:
    def __init__(self, engine: Engine, requests: RequestFaults, outages: Outages, roles: Roles) -> None:
        self._engine, self._requests, self._outages, self._roles = engine, requests, outages, roles

    def give_role(self, principal: str, role: Any) -> None:
        """What an application or identity of the tenant may do from now on, by its object id (the published application
        also by its client id): the name of one of Azure's roles for Batch, or `none`; None takes the role back, and
        everything is allowed again. A BatchError for no role."""
        try:
            self._roles.give(principal, role)
        except ValueError as error:
            raise invalid_property("role", role, str(error)) from None

    def roles(self) -> dict[str, str]:
        """The roles that were given, by object id."""
        return self._roles.given()

    def preempt(self, pool_id: str, node_id: str) -> None:
        """The region takes a low-priority node back. A BatchError for a node that is none, or has no machine."""
        self._befall(faults.preempt, pool_id, node_id)

    def lose(self, pool_id: str, node_id: str) -> None:
        """The node's machine dies. A BatchError for a node that is not up."""
        self._befall(faults.lose, pool_id, node_id)

    def spoil(self, pool_id: str, node_id: str, exit_code: Any = NO_START) -> None:
        """Whatever is started on the node from now on ends with the exit code at once, though the node seems well: a
        broken disk, or a container engine in disorder. A reboot does not help, a reimage or another machine does.
        A BatchError for a node that is not up, and for no exit code."""
        if not isinstance(exit_code, int) or isinstance(exit_code, bool) or not 0 < exit_code < 256:
            raise invalid_property("exitCode", exit_code, "A number from 1 to 255 is expected.")
        self._befall(_check_alive, pool_id, node_id)
        self._engine.nodes.spoil(node_id, exit_code)

    def fill(self, pool_id: str, node_id: str, disk: Any = disks.OS) -> None:
        """A disk of the node is full, one of disks.DISKS: it is unusable from now on, with the error DiskFull. A
        BatchError for a node that is not up, and for no disk."""
        if disk not in disks.DISKS:
            raise invalid_property("disk", disk, f"One of {', '.join(disks.DISKS)} is expected.")
        self._befall(lambda m, node: disks.fill(m, node, disk), pool_id, node_id)

    def _befall(self, fault: Callable[[Machine, Node], None], pool_id: str, node_id: str) -> None:
        self._engine.call(lambda m: fault(m, m.node(pool_id, node_id)))

    def plan(self, wanted: Mapping[str, Any]) -> None:
        """Plans faults, each for the next occasion: `allocations` (codes of resize errors, or `stall`), `boots` and
        `startTasks` (how many of the next fail), `requests` (kinds of request_faults.KINDS), `outage` (an object with
        one `kind` of outages.KINDS and its `seconds` from now on; None ends it), `lowPriorityCores` (the region's
        capacity from now on; None: as in the profile), `vmSizeCores` (what the region has from now on for nodes of
        these VM sizes), `notFoundSeconds` (for so long what is made from now on is not found). What is not named stays
        as it is; a BatchError for what makes no sense, and then nothing is changed."""
        for name, value in wanted.items():
            if name not in _CHECKS:
                reason = f"There is no fault '{name}'; known are {', '.join(_CHECKS)}."
                raise BatchError("InvalidRequestBody", [("Reason", reason)])
            _CHECKS[name](name, value)
        if "outage" in wanted:
            self._outages.order(**(wanted["outage"] or NO_OUTAGE))
        if "requests" in wanted:
            self._requests.plan(wanted["requests"])
        self._engine.call(_plan, wanted)

    def planned(self) -> dict[str, Any]:
        """The faults that are still to come, with the names of `plan`."""
        plan = self._engine.read(lambda m: m.plan)
        return {
            "allocations": list(plan.allocations),
            "boots": plan.boots,
            "startTasks": plan.start_tasks,
            "requests": self._requests.planned(),
            "outage": self._outages.planned(),
            "lowPriorityCores": plan.capacity,
            "vmSizeCores": dict(plan.size_cores),
            "notFoundSeconds": plan.not_found,
        }


def _check_alive(m: Machine, node: Node) -> None:
    if not node.alive:
        raise BatchError("OperationNotValidOnNode", [("Reason", f"The node is {node.state}.")])


def _plan(m: Machine, wanted: Mapping[str, Any]) -> None:
    m.plan.allocations = list(wanted.get("allocations", m.plan.allocations))
    m.plan.boots = wanted.get("boots", m.plan.boots)
    m.plan.start_tasks = wanted.get("startTasks", m.plan.start_tasks)
    m.plan.not_found = wanted.get("notFoundSeconds", m.plan.not_found)
    if "vmSizeCores" in wanted:
        m.plan.size_cores = {name.lower(): cores for name, cores in wanted["vmSizeCores"].items()}
    if "lowPriorityCores" in wanted:
        faults.set_capacity(m, wanted["lowPriorityCores"])


def _one_of(known: tuple[str, ...]) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, list) or not all(item in known for item in value):
            raise invalid_property(name, value, f"A list of {', '.join(known)} is expected.")

    return check


def _count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise invalid_property(name, value, "A whole number is expected.")


def _cores(name: str, value: Any) -> None:
    if value is not None:
        _count(name, value)


def _size_cores(name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise invalid_property(name, value, "An object such as {'Standard_D4ds_v5': 8} is expected.")
    for cores in value.values():
        _count(name, cores)


def _seconds(name: str, value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
        raise invalid_property(name, value, "Seconds are expected, or null.")


def _outage(name: str, value: Any) -> None:
    if value is None:
        return
    good = isinstance(value, dict) and value.keys() == {"kind", "seconds"} and value["kind"] in outages.KINDS
    if not good or value["seconds"] is None:
        reason = f"An object with a kind ({', '.join(outages.KINDS)}) and seconds is expected."
        raise invalid_property(name, value, reason)
    _seconds(f"{name}/seconds", value["seconds"])


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "allocations": _one_of(chance.ALLOCATION_FAULTS),
    "boots": _count,
    "startTasks": _count,
    "requests": _one_of(KINDS),
    "outage": _outage,
    "lowPriorityCores": _cores,
    "vmSizeCores": _size_cores,
    "notFoundSeconds": _seconds,
}
