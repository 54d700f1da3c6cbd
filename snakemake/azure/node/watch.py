"""Watches the process that does a task's job, and stores the task's logs when that fails, however it ends.

A process that is killed, as for want of memory, can store nothing any more; and Batch's own way, output files, wants a
SAS in each task, where everybody who may read the Batch account's tasks would see it. So the task's first process
stays as it is, small, and its child goes on as Snakemake. https://learn.microsoft.com/azure/batch/files-and-directories

Whoever ends the task from outside sends SIGTERM. When that is not because its time is up, the run is being given up,
and nothing is stored: nobody would delete it.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

from snakemake.azure.node.usage import store_line

ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}

STDERR_DELAY = 5.0
"""Seconds that a container's output may take to be in the file that Batch makes of it."""

TIME_IS_UP = 0.9
"""From this share of a task's time limit on, a SIGTERM means the limit, which began before this process."""


def watch(
    logs: Path,
    store: Callable[[int], None],
    limit: float | None = None,
    finish: Callable[[], None] = lambda: None,
    begin: Callable[[int], None] = lambda child: None,
) -> None:
    """Returns in a child process. The caller's own stays, and exits as the child does, after `store` if that failed,
    and after `finish`. `begin` is called with the child's id, `store` with its exit code.

    logs: the folder of the task's stderr.txt; limit: the task's time limit in seconds.
    """
    began = time.monotonic()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    child = os.fork()
    if child:
        begin(child)
        last_minute = began + limit * TIME_IS_UP if limit else None
        Watch(child, logs, store, finish, last_minute).run(before)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Watch:
    """One child. `last_minute`: from when on, by the monotonic clock, a SIGTERM means that the time is up."""

    def __init__(
        self,
        child: int,
        logs: Path,
        store: Callable[[int], None],
        finish: Callable[[], None],
        last_minute: float | None,
    ):
        self._child = child
        self._stderr = logs / "stderr.txt"
        self._store = store
        self._finish = finish
        self._last_minute = last_minute
        self._told_to_end = False
        self._storing: threading.Thread | None = None

    def run(self, mask: set[int]) -> None:
        """Does not return. `mask` is what the process blocks from now on."""
        for number in ENDING:
            signal.signal(number, self._end)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = self._wait()
        if code and not self._told_to_end:
            self._say_so(code)
            self._store(_exit_code(code))
        if self._storing:
            self._storing.join()
        self._finish()
        os._exit(_exit_code(code))

    def _wait(self) -> int:
        """The child's exit code, or the negative number of the signal that killed it. As a container's first process
        this one also gets the orphans."""
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == self._child:
                return os.waitstatus_to_exitcode(status)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == 1:  # elsewhere the whole session gets the signal
            with suppress(ProcessLookupError):
                os.kill(self._child, number)
        self._told_to_end = True
        if self._last_minute and time.monotonic() >= self._last_minute and not self._storing:
            # What is there by now: the child may not be left the time to end by itself.
            self._storing = threading.Thread(target=self._store, args=(128 + number,))
            self._storing.start()

    def _say_so(self, code: int) -> None:
        """Says how the child ended, and waits until that is in the file, as then all that came before is there, too."""
        how = f"ended with exit code {code}" if code > 0 else f"was killed by {signal.Signals(-code).name}"
        line = f"snakemake.azure.node: the job's process {how}."
        print(line, file=sys.stderr, flush=True)
        deadline = time.monotonic() + STDERR_DELAY
        while time.monotonic() < deadline and line.encode() not in _end_of(self._stderr):
            time.sleep(0.05)


def _exit_code(code: int) -> int:
    """As a shell has it, of the negative number of a signal too."""
    return code if code >= 0 else 128 - code


def _end_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            return file.read()
    except OSError:
        return b""


def store_logs(sources: str, environ: Mapping[str, str], usage: bytes) -> None:
    """Stores stderr and stdout of this task beside the run's `sources`, and the line of what it has used; nothing when
    its run is over, as nobody would delete it. What goes wrong is said and no more."""
    from snakemake_interface_common.exceptions import WorkflowError

    from snakemake.azure.blob.account import BlobAccount
    from snakemake.azure.blob.errors import explained
    from snakemake.azure.blob.fence import Fence
    from snakemake.azure.blob.service import connect
    from snakemake.azure.blob.stored_logs import STDERR, STDOUT, StoredLogs, folder

    try:
        account = BlobAccount.resolve(environ=environ)
        with connect(account, patience=60) as service, explained(account, f"az://{folder(sources)}"):
            if fence := Fence.of_task(account, lambda: service, environ):
                fence.check()
            logs = StoredLogs(account, folder(sources), patience=60)
            for name in (STDERR, STDOUT):
                path = Path(environ["AZ_BATCH_TASK_DIR"]) / name
                if path.is_file() and path.stat().st_size:
                    logs.store(environ["AZ_BATCH_TASK_ID"], path)
            store_line(service, sources, environ, usage)
    except (WorkflowError, OSError) as e:
        print(f"snakemake.azure.node: cannot store the task's logs: {e}", file=sys.stderr, flush=True)
