"""One node and one job from start to end, with the user's own options: a run like any other, of a workflow of one rule.

The run is a process of its own: the same command, which finds in the environment (`FOLDER`) that it is to run the
check's workflow in place of the user's. This process starts it, watches the account meanwhile, and times what it sees,
by the service's clock where that says when something happened. The run deletes what it has made, as runs do, also when
it is interrupted: it is told once, by this process, which then waits for it.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.client import Batch
from snakemake.azure.blob.errors import explained
from snakemake.azure.blob.service import connect
from snakemake.azure.check.service import Given
from snakemake.azure.check.steps import FAILED, OK, SKIPPED, Row, Steps, one_line
from snakemake.azure.secrets import without_secrets
from snakemake.azure.signals import uninterrupted
from snakemake.azure.wire import is_loopback, lower

FOLDER = "AZ_BATCH_CHECK_FOLDER"
"""Names the variable that holds the folder of the check's workflow, and `PREFIX` its place in storage."""

PREFIX = "AZ_BATCH_CHECK_PREFIX"

WORKFLOW = """
rule check:
    input: "in.txt"
    output: "out.txt"
    shell: "cat {input} > {output} && uname -a >> {output}"
"""
RECORD = "snakemake-record"
MILESTONES = ("pool made", "machine allocated", "node ready", "task started", "task done", "result here")
PAUSE, PAUSE_HERE = 2.0, 0.2  # seconds between two looks at the service, and at one on this machine
DELETION = 900.0  # seconds that the nodes' going is waited for
_POOL = re.compile(r"Azure Batch: created the pool (\S+) ")
_KIND = re.compile(r"[A-Z]\w+:")
_BESIDE = ("Azure Batch: ", "Complete log", "Elapsed time", "Exiting because", "Shutting down")


def substitute(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> bool:
    """In the process of the check's run: puts its workflow in place of the user's. False in any other."""
    if FOLDER not in environ:
        return False
    folder = Path(environ[FOLDER])
    args.az_batch_check = None
    args.snakefile, args.directory = folder / "Snakefile", folder
    args.targets, args.jobs = {"out.txt"}, 1
    args.default_storage_prefix = environ[PREFIX]
    args.az_batch_on_exit, args.az_batch_keep_pool, args.az_batch_keep_failed = "delete", None, None
    if not isinstance(args.az_batch_pool_id, str):
        args.az_batch_nodes = 1
    for name in ("dryrun", "touch", "forceall", "keep_incomplete"):
        setattr(args, name, False)
    for name in ("until", "omit_from", "forcerun", "allowed_rules", "batch"):
        if hasattr(args, name):
            setattr(args, name, type(getattr(args, name))() if getattr(args, name) is not None else None)
    return True


def check(given: Given, steps: Steps) -> None:
    """Runs the check's workflow, and shows how long each step of it takes. WorkflowErrors become failed steps."""
    container, _, path = given.prefix.partition("/")
    place = "/".join(filter(None, (path, f"az-batch-check-{uuid.uuid4().hex[:8]}")))
    batch = Batch(given.account)
    try:
        with tempfile.TemporaryDirectory(prefix="az-batch-check-") as folder:
            Path(folder, "Snakefile").write_text(WORKFLOW, encoding="utf-8")
            try:
                if steps.do("input stored", lambda: _put(given, container, f"{place}/in.txt")):
                    environ = {**os.environ, FOLDER: folder, PREFIX: f"az://{container}/{place}"}
                    _Watch(batch, given, f"{given.blobs.url}/{container}/{place}/", steps).run(environ)
            finally:
                with uninterrupted():
                    steps.do("files deleted", lambda: _clear(given, container, f"{place}/"))
    finally:
        batch.close()


def _put(given: Given, container: str, name: str) -> tuple[bool, str]:
    with connect(given.blobs) as service, explained(given.blobs, f"az://{container}/{name}"):
        service.get_blob_client(container, name).upload_blob(b"snakemake --az-batch-check\n", overwrite=True)
    return True, f"az://{container}/{name}"


def _clear(given: Given, container: str, prefix: str) -> tuple[int, str]:
    with connect(given.blobs) as service, explained(given.blobs, f"az://{container}/{prefix}"):
        place, count = service.get_container_client(container), 0
        for blob in place.list_blobs(name_starts_with=prefix):
            place.delete_blob(blob.name)
            count += 1
    return count, f"{count} blobs below az://{container}/{prefix.rstrip('/')}"


@dataclass
class _Seen:
    """When the milestones were, by their index (UTC), and what the run made."""

    times: dict[int, datetime] = field(default_factory=dict)
    pool: str | None = None
    jobs: set[str] = field(default_factory=set)
    exit_code: int | None = None

    def note(self, milestone: int, when: datetime | None) -> None:
        if when is not None:
            self.times.setdefault(milestone, when)


class _Watch:
    """The run of the check's workflow, whose record is below `record`, and what the service shows of it."""

    def __init__(self, batch: Batch, given: Given, record: str, steps: Steps) -> None:
        self._batch, self._given, self._record, self._steps = batch, given, record, steps
        self._seen = _Seen()
        self._shown = 0
        self._output: list[str] = []
        self._pause = PAUSE_HERE if is_loopback(given.account.endpoint) else PAUSE

    def run(self, environ: Mapping[str, str]) -> None:
        began = self._batch.clock.now()
        process = subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C comes here alone, and is passed on once
        )
        reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    self._seen.exit_code = process.wait(self._pause)
                self._look()
                self._show(began)
                if self._seen.exit_code is not None:
                    break
        finally:
            with uninterrupted():
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                process.wait()
                reader.join(5)
                for line in self._output:
                    if "could not be deleted" in line:
                        self._steps.say(line)
        self._end(began)
        self._wait_until_gone()

    def _read(self, stream: Any) -> None:
        for line in stream:
            self._output.append(line.rstrip("\n"))

    def _look(self) -> None:
        """What the service shows now. A look that fails is no reason to end: the run knows better."""
        with suppress(WorkflowError):
            self._look_at_pools()
            self._look_at_jobs()

    def _look_at_pools(self) -> None:
        if self._seen.pool is None:
            own = [(pool.id, pool.creation_time) for pool in self._batch.list_pools() if self._is_own(pool)]
            # One that was made and deleted between two looks is known by what the run has said.
            own += [(said[1], self._batch.clock.now()) for said in map(_POOL.match, self._output) if said]
            if not own:
                return
            self._seen.pool, made = own[0]
            self._seen.note(0, made)
        for node in self._batch.list_nodes(self._seen.pool):
            self._seen.note(1, node.allocation_time)
            if lower(node.state) in ("idle", "running"):
                self._seen.note(2, self._batch.clock.now())

    def _look_at_jobs(self) -> None:
        for job in self._batch.list_jobs():
            if self._is_own(job):
                self._seen.jobs.add(job.id)
        for job_id in self._seen.jobs:
            for task in self._batch.all_tasks(job_id):
                self._seen.note(3, task.started)
                if task.result == "success":  # one that the run has taken back ends, too
                    self._seen.note(4, task.ended)

    def _is_own(self, entity: Any) -> bool:
        return any(m.name == RECORD and m.value.startswith(self._record) for m in entity.metadata or [])

    def _wanted(self) -> list[int]:
        """The milestones that this run has; in a pool that is there already it is not waited for a node."""
        return [3, 4] if self._given.settings.pool_id else [0, 1, 2, 3, 4]

    def _show(self, began: datetime, all_of_them: bool = False) -> None:
        """Shows the milestones that are known, in order."""
        wanted = self._wanted()
        while self._shown < len(wanted):
            milestone = wanted[self._shown]
            later = [m for m in wanted[self._shown + 1 :] if m in self._seen.times]
            if milestone not in self._seen.times:
                # The look came too late to see it: what comes later says that it was.
                if not later:
                    return
                self._seen.times[milestone] = self._seen.times[later[0]]
            before = self._seen.times[wanted[self._shown - 1]] if self._shown else began
            seconds = max(0.0, (self._seen.times[milestone] - before).total_seconds())
            self._steps.add(Row(MILESTONES[milestone], OK, seconds, _WORDS[milestone]))
            self._shown += 1

    def _end(self, began: datetime) -> None:
        wanted, now = self._wanted(), self._batch.clock.now()
        last = self._seen.times[wanted[self._shown - 1]] if self._shown else began
        seconds = max(0.0, (now - last).total_seconds())
        if self._seen.exit_code == 0:
            for milestone in wanted[self._shown :]:
                self._steps.add(Row(MILESTONES[milestone], OK, 0.0, "too fast to be seen"))
            self._steps.add(
                Row(MILESTONES[5], OK, seconds, "the job's output is in storage, and the run is over")
            )
            return
        names = [MILESTONES[m] for m in wanted[self._shown :]] + [MILESTONES[5]]
        text = f"{reason(self._output)} All that the run said is in {_kept(self._output)}."
        self._steps.add(Row(names[0], FAILED, seconds, text))
        for name in names[1:]:
            self._steps.add(Row(name, SKIPPED, None, "needs what failed above"))

    def _wait_until_gone(self) -> None:
        if self._given.settings.pool_id or self._seen.pool is None:
            return

        def gone() -> tuple[bool, str]:
            end = self._steps.clock() + DELETION
            while any(pool.id == self._seen.pool for pool in self._batch.list_pools()):
                if self._steps.clock() > end:
                    raise WorkflowError(
                        f"The pool {self._seen.pool} is still being deleted: look at it with 'az batch pool show'."
                    )
                self._batch.service.patience.sleep(self._pause)
            return True, f"the pool {self._seen.pool} and its node are gone"

        self._steps.do("pool deleted", gone)


_WORDS = {
    0: "the run has checked its options, stored its sources, and made its pool",
    1: "Azure has given the node",
    2: "it has started, and pulled the image",
    3: "Batch has given it the task",
    4: "inputs fetched, the rule's command run, outputs stored",
}


def reason(output: list[str]) -> str:
    """Of what a run that failed has printed, the sentence that says why."""
    lines = [line.strip() for line in output if line.strip()]
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        if line.startswith("message:"):
            return one_line(line.removeprefix("message:"))
        # Snakemake prints the kind of an error on a line of its own; the last one is only that a job failed.
        if _KIND.fullmatch(line) and following and not following.startswith("At least one job"):
            return one_line(following)
    own = [line for line in lines if not line.startswith(_BESIDE)]
    return one_line(own[-1]) if own else "The run ended without a word."


def _kept(output: list[str]) -> Path:
    """Where all that the run printed is kept."""
    folder = Path(".snakemake", "log")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"az-batch-check-{datetime.now():%Y%m%dT%H%M%S}.log"
    file.write_text(without_secrets("\n".join(output) + "\n"), encoding="utf-8")
    return file
