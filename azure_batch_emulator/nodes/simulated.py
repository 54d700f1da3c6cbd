"""The runner `none`: nodes and tasks that exist on the clock alone.

No thread, process or directory stands for them. Each instruction is answered by a timer: a node is ready at once,
a task takes the profile's `taskSeconds` and ends with 0, or with -9 when it is killed. Resource files are not
fetched, output files are not uploaded, and there are no files to read.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import assert_never

from ..core.entities import Ended
from ..core.instructions import (
    BootNode,
    DeleteFiles,
    KillRun,
    NodeInstruction,
    RemoveNode,
    StartRun,
    UploadOutputs,
)
from ..core.nodes import boot, leaving
from ..core.profile import Profile
from ..core.runs import reports
from .runners.image_references import check_references

Later = Callable[..., None]
"""`later(seconds, stimulus, *arguments)` applies a stimulus to the machine when so much time has passed."""

KILLED = -9


class SimulatedNodes:
    """Answers what the core asks of nodes."""

    def __init__(self, profile: Profile, random: Random, later: Later) -> None:
        self._profile, self._random, self._later = profile, random, later
        self._spoiled: dict[str, int] = {}

    def root(self, node_id: str) -> Path | None:
        return None

    def upload_logs(self, node_id: str, files: list[Path], container: dict, directory: str) -> None:
        pass

    def spoil(self, node_id: str, exit_code: int) -> None:
        self._spoiled[node_id] = exit_code

    def close(self) -> None:
        pass

    def carry_out(self, order: NodeInstruction) -> None:
        match order:
            case BootNode():
                if not order.keep:
                    self._spoiled.pop(order.node, None)
                failure = check_references(order.images)
                self._later(0.0, boot.booted, order.pool, order.node, order.boot, failure)
            case RemoveNode():
                self._spoiled.pop(order.node, None)
                self._later(0.0, leaving.removed, order.pool, order.node)
            case StartRun():
                self._later(0.0, reports.running, order.run)
                code = self._spoiled.get(order.node, 0)
                seconds = 0.0 if code else self._profile.delay("task", self._random)
                self._later(seconds, reports.exited, order.run, Ended(code))
            case KillRun():
                # The end that was due comes, too, and finds nothing to end.
                self._later(0.0, reports.exited, order.run, Ended(KILLED))
            case UploadOutputs():
                self._later(0.0, reports.uploaded, order.run, None)
            case DeleteFiles():
                pass
            case _:
                assert_never(order)
