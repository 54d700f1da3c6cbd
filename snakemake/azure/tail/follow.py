"""Reads what a task writes to stdout and stderr, on its node, for as long as it runs.

Each look asks for the task, then for the sizes of its files, and then for what is new of the two, by ranges: what has
been shown is never read again. Looks are a second apart while something comes, and up to two where nothing does. Files
are read after the task's state, so that of a task that is seen to have ended nothing is missed which its node has.

Of what there was before the first look only the end is shown. A task that begins again (Batch's own retries, a node
that was lost) has new files, which are read from their beginning.
https://learn.microsoft.com/rest/api/batchservice/tasks/get-task-file
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Protocol

from snakemake.azure.batch.listed_tasks import ListedTask
from snakemake.azure.batch.monitor import Verdict, judge
from snakemake.azure.blob.stored_logs import STDERR, STDOUT

FIRST_BYTES = 64 * 1024
"""How much is shown, at the most, of what a file had before the first look."""

AT_ONCE = 4 * 1024 * 1024
"""Bytes of one request."""

SHORTEST, LONGEST = 1.0, 2.0
"""Seconds between two looks."""


class Service(Protocol):
    """What is asked of the Batch service, see `snakemake.azure.batch.client.Batch`."""

    def get_task(self, job_id: str, task_id: str) -> ListedTask | None: ...

    def task_file_sizes(self, job_id: str, task_id: str) -> dict[str, int] | None: ...

    def task_file(self, job_id: str, task_id: str, name: str, start: int, end: int) -> bytes | None: ...


@dataclass
class _Log:
    """One of the two files, and how much of it has been shown."""

    name: str
    out: BinaryIO
    shown: int = 0
    begun: bool = False


@dataclass
class Follower:
    """Of one task. out, err: where its stdout and stderr go; say: hears what becomes of it, in sentences; pause: waits;
    saved: a log that its node has no more."""

    service: Service
    job_id: str
    task_id: str
    pool_id: str
    out: BinaryIO
    err: BinaryIO
    say: Callable[[str], None]
    pause: Callable[[float], None]
    saved: Callable[[str], bytes | None] = lambda name: None
    _logs: list[_Log] = field(init=False)
    _at: tuple[str, datetime | None] = ("", None)
    _state: str = ""

    def __post_init__(self) -> None:
        self._logs = [_Log(STDOUT, self.out), _Log(STDERR, self.err)]

    def follow(self) -> Verdict | None:
        """Shows what the task writes until it has ended; how it did, None if it is gone. Raises BatchError."""
        wait = SHORTEST
        while True:
            task = self.service.get_task(self.job_id, self.task_id)
            if task is None:
                self._rest()
                return None
            came = self._tell(task)
            if task.state != "active" and task.node_id:
                sizes = self._sizes()
                came = sum(self._copy(log, sizes.get(log.name)) for log in self._logs) > 0 or came
            if task.completed:
                self._rest()
                return judge(task)
            wait = SHORTEST if came else min(LONGEST, wait * 1.5)
            self.pause(wait)

    def _tell(self, task: ListedTask) -> bool:
        """Says where the task is, if that is new; whether it is."""
        before, self._state = self._state, task.state
        if task.state == "active":
            if before == "":
                self.say(f"The task {task.id} waits for a node of the pool {self.pool_id}.")
            elif before != "active":
                self.say(f"The task {task.id} has lost the node {self._at[0]} and waits for another one.")
            return before != "active"
        at = (task.node_id, task.started)
        if not task.node_id or at == self._at or task.started is None:
            return False
        if self._at[0]:
            again = "the same node" if self._at[0] == task.node_id else f"the node {task.node_id}"
            self.say(f"The task {task.id} begins again, on {again}.")
            for log in self._logs:
                log.shown, log.begun = 0, True
        elif before in ("active", "preparing"):
            # From the beginning, however long that was.
            for log in self._logs:
                log.begun = True
        if not self._at[0]:
            runs = "ran" if task.completed else "runs"
            self.say(
                f"The task {task.id} {runs} on the node {task.node_id} since {task.started:%H:%M:%S} UTC."
            )
        self._at = at
        return True

    def _sizes(self) -> dict[str, int]:
        return self.service.task_file_sizes(self.job_id, self.task_id) or {}

    def _copy(self, log: _Log, size: int | None) -> int:
        """Shows what is new in the file, which has so many bytes; how many that were."""
        if size is None:
            return 0
        if not log.begun:
            log.begun = True
            self._skip(log, size)
        came = 0
        while log.shown < size:
            end = min(size, log.shown + AT_ONCE)
            data = self.service.task_file(self.job_id, self.task_id, log.name, log.shown, end)
            if not data:
                break
            self._show(log, data)
            came += len(data)
        return came

    def _skip(self, log: _Log, size: int) -> None:
        """Of a long file, only the end is shown."""
        if size <= FIRST_BYTES:
            return
        log.shown = size - FIRST_BYTES
        self.say(f"{log.name} has {size:,} bytes by now, of which the last {FIRST_BYTES:,} are shown.")

    def _rest(self) -> None:
        """What the node has not shown, of a log that was stored when the task failed."""
        sizes = self._sizes()
        for log in self._logs:
            if log.name in sizes:
                continue
            data = self.saved(log.name)
            if data and len(data) > log.shown:
                self._show(log, data[log.shown :] if log.begun else data[-FIRST_BYTES:])

    def _show(self, log: _Log, data: bytes) -> None:
        log.out.write(data)
        log.out.flush()
        log.shown += len(data)
