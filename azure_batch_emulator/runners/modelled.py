"""Runs nothing: a task takes a modelled time and ends with 0. No directory of a node is touched."""

import threading
from collections.abc import Callable

from .base import Failure, Kills, NodeSpec, TaskExit, TaskLaunch
from .references import check_references

Wait = Callable[[threading.Event, float], object]


def wait_real(killed: threading.Event, seconds: float) -> None:
    """Blocks until `seconds` of real time are over, or until the run is killed."""
    killed.wait(seconds)


class ModelledRunner:
    """`seconds(launch)` is how long a task takes; `wait(killed, seconds)` lets that time pass on some clock
    and returns early when `killed` is set."""

    name = "none"

    def __init__(
        self, seconds: Callable[[TaskLaunch], float] = lambda launch: 1.0, wait: Wait = wait_real
    ) -> None:
        self._seconds = seconds
        self._wait = wait
        self._kills = Kills()
        self._lock = threading.Lock()
        self._running: dict[str, threading.Event] = {}

    def boot_node(self, node: NodeSpec) -> Failure | None:
        return check_references(node.container_images)

    def run(self, launch: TaskLaunch) -> TaskExit:
        killed = threading.Event()
        with self._lock:
            if launch.run_id in self._kills:
                return TaskExit(None, None)
            self._running[launch.run_id] = killed
        try:
            self._wait(killed, self._seconds(launch))
        finally:
            with self._lock:
                del self._running[launch.run_id]
        return TaskExit(137 if killed.is_set() else 0, None)

    def kill(self, run_id: str) -> None:
        self._kills.add(run_id)
        with self._lock:
            if killed := self._running.get(run_id):
                killed.set()

    def remove_node(self, node: NodeSpec) -> None:
        pass

    def close(self) -> None:
        self._kills.add_all()
        with self._lock:
            for killed in self._running.values():
                killed.set()
