"""Probes: what each is, and what it is given."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .wire import Answer, Wire

Needs = Literal["nothing", "node", "minutes"]
"""`node`: a pool with one node, which all such probes share; `minutes`: it waits for some."""


class Unexpected(Exception):
    """A probe came not as far as its fact: an answer on the way was another than it takes for granted."""


@dataclass(frozen=True)
class Probe:
    """`fact` is a sentence, `expected` what the emulator does, `row` the beginning of the line of
    docs/emulator/fidelity.md that says so, `certainty` how sure the fact was without the kit: recorded, documented,
    reported or chosen."""

    name: str
    fact: str
    expected: Any
    row: str
    certainty: str
    needs: Needs
    observe: Callable[["Context"], Any]
    storage: bool = False
    """Whether it needs a container of blobs."""


PROBES: dict[str, Probe] = {}


def probe(
    fact: str, expected: Any, row: str, certainty: str, needs: Needs = "nothing", storage: bool = False
) -> Callable:
    """Makes a function of a Context a probe, named as the function is; it returns what it saw."""

    def register(observe: Callable[["Context"], Any]) -> Callable[["Context"], Any]:
        name = observe.__name__.replace("_", "-")
        PROBES[name] = Probe(name, fact, expected, row, certainty, needs, observe, storage)
        return observe

    return register


@dataclass(frozen=True)
class Machine:
    """What the kit's nodes are: an image of the Marketplace (`publisher:offer:sku`), its node agent, a VM size."""

    image: str = "canonical:ubuntu-24_04-lts:server"
    agent: str = "batch.node.ubuntu 24.04"
    size: str = "Standard_D2s_v3"

    @property
    def configuration(self) -> dict:
        publisher, offer, sku = self.image.split(":")
        reference = {"publisher": publisher, "offer": offer, "sku": sku}
        return {"imageReference": reference, "nodeAgentSKUId": self.agent}


@dataclass
class Context:
    """What a probe works with. All that it makes has the run's `prefix` and is in `made`, to be deleted; blobs that it
    stores in `container` (its URL, with a SAS) are in `blobs`."""

    wire: Wire
    prefix: str
    machine: Machine = Machine()
    made: list[str] = field(default_factory=list)
    client: Callable[[], Any] | None = None
    container: str | None = None
    blobs: list[str] = field(default_factory=list)

    def name(self, what: str) -> str:
        return f"{self.prefix}-{what}"

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        return self.wire.send(method, path, body, **options)

    def must(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """For steps on the way to the fact."""
        answer = self.send(method, path, body, **options)
        if answer.status >= 400:
            raise Unexpected(f"{method} {path} was answered {answer.told}: {answer.details}")
        return answer

    def pool(self, what: str, *, version: str = "2025-06-01", **more: Any) -> str:
        """Makes a pool, without nodes unless it is told otherwise; returns its path."""
        body = {
            "id": self.name(what),
            "vmSize": self.machine.size,
            "virtualMachineConfiguration": self.machine.configuration,
        } | more
        self.made.append(f"/pools/{body['id']}")
        self.must("POST", "/pools", body, version=version)
        return f"/pools/{body['id']}"

    def job(self, what: str, pool_id: str | None = None, **more: Any) -> str:
        """Makes a job, on a pool that there is not unless one is named; returns its path."""
        body = {"id": self.name(what), "poolInfo": {"poolId": pool_id or self.name("nowhere")}} | more
        self.made.append(f"/jobs/{body['id']}")
        self.must("POST", "/jobs", body)
        return f"/jobs/{body['id']}"

    def task(self, job: str, task_id: str = "t", command: str = "true", **more: Any) -> str:
        self.must("POST", f"{job}/tasks", {"id": task_id, "commandLine": command} | more)
        return f"{job}/tasks/{task_id}"

    @property
    def node_pool(self) -> str:
        """The pool with one node, which the runner has made; its id."""
        return self.name("node")

    def run(self, what: str, command: str, **more: Any) -> tuple[str, Mapping[str, Any]]:
        """Runs a command on the node to its end; returns the task's path and executionInfo."""
        path = self.task(self.job(what, self.node_pool), "t", command, **more)
        return path, self.completed(path)

    def completed(self, path: str) -> Mapping[str, Any]:
        shown = self.until(path, lambda task: task["state"] == "completed")
        return shown["executionInfo"]

    def until(self, path: str, true: Callable[[dict], bool], seconds: float = 1800) -> dict:
        """Waits until what is at the path is as wanted; Unexpected where that takes too long."""
        deadline = time.monotonic() + seconds
        pause = 0.05
        while True:
            answer = self.must("GET", path)
            if true(answer.json):
                return answer.json
            if time.monotonic() > deadline:
                raise Unexpected(f"{path} did not come to what was waited for within {seconds:.0f} seconds.")
            time.sleep(pause)
            pause = min(5.0, pause * 1.3)

    def blob(self, name: str) -> str:
        """The URL of a blob in the container, with the SAS; it is deleted in the end."""
        assert self.container is not None
        base, _, sas = self.container.partition("?")
        url = f"{base}/{self.prefix}-{name}?{sas}"
        self.blobs.append(url)
        return url

    def store(self, name: str, data: bytes) -> str:
        """A blob of this content; its URL, with the SAS."""
        url = self.blob(name)
        answer = self.wire.blob("PUT", url, data)
        if answer.status != 201:
            raise Unexpected(f"The container of --container-url does not take blobs ({answer.status}).")
        return url

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def output(self, task: str) -> str:
        return self.must("GET", f"{task}/files/stdout.txt").body.decode()
