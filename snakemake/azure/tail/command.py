"""The command: which task is followed, what comes after it, the exit code."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure import retry
from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.monitor import Verdict
from snakemake.azure.preflight.options import validate
from snakemake.azure.preflight.storage import blob_prefix
from snakemake.azure.settings import EMULATOR, ExecutorSettings, is_emulator
from snakemake.azure.tail.follow import Follower
from snakemake.azure.tail.runs import LOGS, Ending, InJob, Runs, newest_events, said_of_run
from snakemake.azure.tail.wanted import Wanted, task_of_output
from snakemake.azure.wire import is_loopback

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount

ANOTHER = 30.0
"""Seconds in which another attempt of a failed job is looked for, while its run goes on: the run learns of the failure
by a poll, some seconds later."""

ANOTHER_PAUSE = 2.0
LISTED = 8
"""How many tasks a sentence names."""

INTERRUPTED = 130
"""What a shell shows for a command that Ctrl-C has ended."""


def tail(
    job: str,
    settings: ExecutorSettings,
    folder: Path,
    prefix: str | None,
    blobs: "Callable[[], BlobAccount]",
    point_at_azurite: Callable[[], None],
) -> int:
    """Follows a job of the run in the working directory `folder`, or on `prefix` (`az://CONTAINER/PATH`); the exit
    code. What is not given is taken from the directory's newest journal. `blobs` finds the storage account; settings
    are resolved.

    Raises
    ------
    WorkflowError: an option is wrong; there is no such job, or there are several; a service could not be asked.
    """
    wanted, events = Wanted.parse(job), newest_events(folder)
    url = settings.account_url or _known_account(said_of_run(events, "account"))
    settings = replace(settings, account_url=url)
    validate(settings)
    retry.process.seconds = settings.patience * 60
    if is_emulator(url or ""):
        point_at_azurite()
    batch = Batch(BatchAccount.resolve(settings))
    place = blob_prefix(prefix) if prefix else said_of_run(events, "prefix")
    try:
        account = _storage(blobs, bool(prefix)) if place else None
        return Tail(Runs(batch, folder, place, account, insists=bool(prefix)), wanted)()
    except KeyboardInterrupt:
        _say("No longer looking; the task goes on.")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read this is gone, as with `| head`; nor may what is still buffered be written at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        batch.close()


def _known_account(url: str) -> str | None:
    """As --az-batch-account-url takes it: an emulator's key is known where none is given."""
    if url and is_loopback(url) and not os.environ.get("AZ_BATCH_ACCOUNT_KEY"):
        return f"{EMULATOR}:{urlsplit(url).port}"
    return url or None


def _storage(blobs: "Callable[[], BlobAccount]", insists: bool) -> "BlobAccount | None":
    """The storage account; None where none is given, unless it was asked for."""
    try:
        return blobs()
    except WorkflowError:
        if insists:
            raise
        return None


def _say(sentence: str) -> None:
    print(f"Azure Batch: {sentence}", file=sys.stderr, flush=True)


@dataclass
class Tail:
    """Follows the job that was asked for. out, err: where its stdout and stderr go; pause, now: the clock."""

    runs: Runs
    wanted: Wanted
    out: BinaryIO = field(default_factory=lambda: sys.stdout.buffer)
    err: BinaryIO = field(default_factory=lambda: sys.stderr.buffer)
    say: Callable[[str], None] = _say
    pause: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic

    def __call__(self) -> int:
        """The exit code: 0 if the job's task has succeeded, else 1.

        Raises
        ------
        WorkflowError: there is no such task, or there are several; or a service could not be asked.
        """
        one: InJob | None = self._choose()
        while one is not None:
            verdict = self._follow(one)
            if verdict is not None and verdict.success:
                self.say(f"The task {one.task.id} has succeeded (exit code 0).")
                return 0
            if verdict is None:
                return self._of_gone(one)
            self.say(f"The task {one.task.id} has failed: {verdict.reason}")
            one = self._another(one)
        return 1

    def _follow(self, one: InJob) -> Verdict | None:
        return Follower(
            self.runs.batch,
            one.job_id,
            one.task.id,
            one.pool_id,
            self.out,
            self.err,
            self.say,
            self.pause,
            lambda name: self.runs.saved(one, name),
        ).follow()

    def _another(self, failed: InJob) -> InJob | None:
        """The next attempt of the same job, if there comes one."""
        end = self.now() + ANOTHER
        while True:
            found = self.runs.after(failed)
            if found is not None:
                self.say(f"The job goes on as the task {found.task.id}.")
                return found
            if self.now() > end or not self.runs.goes_on():
                return None
            self.pause(ANOTHER_PAUSE)

    def _of_gone(self, one: InJob) -> int:
        """The run has deleted the task, at its end or to take it over: how it ended, the journal here tells."""
        if (found := self.runs.after(one)) is not None:
            self.say(f"The job goes on as the task {found.task.id}.")
            return Tail(
                self.runs, Wanted(found.task.id), self.out, self.err, self.say, self.pause, self.now
            )()
        ending = next((e for e in reversed(self.runs.endings()) if e.task == one.task.id), None)
        if ending is None:
            self.say(f"The task {one.task.id} is gone, with its run; how it ended is not known here.")
            return 1
        self.say(
            f"The task {one.task.id} has {_how(ending)}; its run has ended, and the last lines may be missing."
        )
        return 0 if ending.success else 1

    # -- which one -----------------------------------------------------------------------------------------------------

    def _choose(self) -> InJob:
        """Of a rule's open tasks the one that runs, or else the one that waits."""
        text = self.wanted.text
        open_tasks = self.runs.open_tasks()
        found = [one for one in open_tasks if self.wanted.is_id_of(one.task)]
        found = found or [one for one in open_tasks if self.wanted.fits(one.task)]
        if not found and (task_id := task_of_output(self.runs.folder, text)):
            found = [one for one in open_tasks if Wanted(task_id).is_id_of(one.task)]
        running = [one for one in found if one.task.state != "active"]
        if len(candidates := running or found) == 1:
            return candidates[0]
        if candidates:
            state = "run" if running else "wait"
            raise WorkflowError(
                f"{len(candidates)} tasks of --az-batch-tail {text} {state}: {_names(candidates)}. Give one of these "
                "ids, or the rule with its wildcards (rule:name=value,name=value)."
            )
        if not self.wanted.rule and (over := self.runs.by_id(text)):
            return over  # its logs are there as long as its node keeps them
        raise WorkflowError(self._nothing(open_tasks))

    def _nothing(self, open_tasks: Sequence[InJob]) -> str:
        record = self.runs.record()
        if record is None:
            where = f"az://{self.runs.prefix}" if self.runs.insists else str(self.runs.folder.resolve())
            told = f"No run on Azure Batch goes on in {where}."
        else:
            rules = sorted({one.task.name.partition(" ")[0] for one in open_tasks})
            what = f"tasks of {', '.join(rules[:LISTED])} do" if rules else "nothing does"
            run = record.runs[0].id
            told = f"No task of --az-batch-tail {self.wanted.text} runs or waits in the run {run}; {what}."
        ended = [e for e in self.runs.endings() if self._is_of(e)]
        if not ended:
            return told
        last = ended[-1]
        logs = LOGS / last.run / last.task
        kept = f"; its logs are in {logs}" if (self.runs.folder / logs).is_dir() else ""
        return f"{told} The last one, {last.task}, has {_how(last)}{kept}."

    def _is_of(self, ending: Ending) -> bool:
        return self.wanted.text.lower() == ending.task.lower() or (
            ending.rule != "" and ending.rule == self.wanted.rule
        )


def _how(ending: Ending) -> str:
    code = "" if ending.exit_code is None else f" (exit code {ending.exit_code})"
    return f"{'succeeded' if ending.success else 'failed'}{code} at {ending.at:%Y-%m-%d %H:%M:%S} UTC"


def _names(found: Sequence[InJob]) -> str:
    named = [f"{one.task.id} ({one.task.name})" for one in found[:LISTED]]
    more = len(found) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
