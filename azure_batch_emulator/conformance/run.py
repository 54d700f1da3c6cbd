"""Goes through probes one by one, and deletes what they made, however it ends."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .probe import Context, Probe, Unexpected


@dataclass
class Result:
    """What one probe saw. `held` is None where it did not come as far as its fact: `problem` says why."""

    probe: Probe
    observed: Any = None
    held: bool | None = None
    problem: str = ""
    seconds: float = 0.0
    exchanges: list[dict] = field(default_factory=list)


def run(context: Context, probes: Iterable[Probe], say: Callable[[str], None]) -> Iterator[Result]:
    """Yields results as they come; when it is closed or interrupted, everything is deleted all the same."""
    probes = list(probes)
    try:
        if any(probe.needs == "node" for probe in probes):
            say("A pool with one node is made; on Azure it takes some minutes to come.")
            context.pool("node", targetDedicatedNodes=1, taskSlotsPerNode=4)
            # (Probes without a node go first: it comes meanwhile.)
        for probe in sorted(probes, key=lambda each: each.needs == "node"):
            yield _result(context, probe)
    finally:
        clean(context, say)


def _result(context: Context, probe: Probe) -> Result:
    context.wire.exchanges.clear()
    result, began = Result(probe), time.monotonic()
    try:
        if probe.needs == "node":
            _wait_for_node(context)
        result.observed = probe.observe(context)
        result.held = result.observed == probe.expected
    except (Unexpected, OSError, KeyError) as error:
        result.problem = context.wire.clean(f"{type(error).__name__}: {error}")
    result.seconds = time.monotonic() - began
    result.exchanges = list(context.wire.exchanges)
    return result


def _wait_for_node(context: Context) -> None:
    def ready(nodes: dict) -> bool:
        return any(node["state"] in ("idle", "running") for node in nodes["value"])

    context.until(f"/pools/{context.node_pool}/nodes", ready)
    context.wire.exchanges.clear()


def clean(context: Context, say: Callable[[str], None]) -> None:
    """Deletes all that was made; what can't be deleted is named."""
    while context.blobs:
        context.wire.blob("DELETE", context.blobs.pop())
    while context.made:
        path = context.made.pop()
        answer = context.send("DELETE", path)
        if answer.status >= 400 and answer.status != 404 and not answer.code.endswith("BeingDeleted"):
            say(f"{path} could not be deleted ({answer.told}): please delete it.")
