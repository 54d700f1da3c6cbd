"""What runs inside a task: from the container's start to the finished upload in one interpreter.

`python -m snakemake.azure.node ORDER` lays the workflow's sources into the task's working directory and goes on
as Snakemake in the same process: no `pip install`, no second interpreter. The sources are fetched by the first
task on a node (`snakemake.azure.node.sources`). A task gets its own copy, because a job may write into the directories
of its workflow.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from snakemake.azure import retry
from snakemake.azure.node.exit import NODE_FAULT
from snakemake.azure.node.fetched import use_fetched_sources
from snakemake.azure.node.order import NodeOrder
from snakemake.azure.node.scratch import KEEP_FAILED, Scratch, prepare
from snakemake.azure.node.sources import complain, fetch_blob, lay_out
from snakemake.azure.node.usage import Measuring, Meter
from snakemake.azure.node.watch import store_logs, watch


def after_precommand(order: NodeOrder) -> NoReturn:
    """Runs the command of --precommand in a shell, which then becomes this program with the variables that it set."""
    rest = replace(order, precommand="").encode()
    command = f'{order.precommand}\nexec "$0" -m snakemake.azure.node "$1"'
    os.execv("/bin/sh", ["sh", "-ec", command, sys.executable, rest])


def fail(message: str, code: int = 1) -> NoReturn:
    complain(message)
    sys.exit(code)


def _watch(order: NodeOrder, scratch: Scratch) -> Measuring | None:
    """Goes on in a child, so that this process can store the logs of one that is killed, and remove what it has left;
    not outside of Batch. Both measure what the task uses."""
    if not {"AZ_BATCH_TASK_DIR", "AZ_BATCH_TASK_ID"} <= os.environ.keys():
        return None
    environ, meter, failures = dict(os.environ), Meter(), list[int]()
    folder = Path(environ["AZ_BATCH_TASK_DIR"])

    def store(code: int) -> None:
        failures.append(code)
        store_logs(order.sources, environ, meter.line(environ, code))

    def finish() -> None:
        if not (failures and environ.get(KEEP_FAILED)):
            scratch.remove()

    watch(
        folder,
        store,
        limit=order.limit,
        finish=finish,
        begin=lambda child: meter.watch(child, folder),
    )
    return Measuring(meter, order.sources, folder)


def main(argv: list[str]) -> None:
    if len(argv) != 1:
        fail("expects one argument, the order that snakemake --az-batch put into the task's command line.")
    try:
        order = NodeOrder.decode(argv[0])
    except ValueError as e:
        fail(f"{e}: are the client's and the image's Snakemake of the same version?")
    workdir = Path(os.environ.get("AZ_BATCH_TASK_WORKING_DIR") or Path.cwd())
    given = os.environ.get("AZ_BATCH_NODE_SHARED_DIR")
    shared = Path(given) if given else None
    os.chdir(workdir)
    try:
        scratch = prepare(workdir, shared)
    except OSError as e:
        fail(f"cannot make the task's scratch directory: {e.strerror} ({e.filename}).", NODE_FAULT)
    if order.precommand:
        after_precommand(order)
    if minutes := os.environ.get(retry.VARIABLE):
        retry.process.seconds, retry.process.unconditional = float(minutes) * 60, True

    measuring = _watch(order, scratch)

    from azure.core.exceptions import AzureError
    from snakemake_interface_common.exceptions import WorkflowError

    try:
        lay_out(shared or workdir.parent, order, fetch_blob, workdir, complain)
    except WorkflowError as e:
        fail(f"cannot fetch the workflow's sources: {e}")
    except AzureError as e:
        # The text of an SDK error can hold a URL with its SAS.
        status = getattr(e, "status_code", None) or type(e).__name__
        fail(f"cannot fetch the workflow's sources {order.sources}: blob storage answered {status}.")
    except OSError as e:
        fail(f"cannot lay out the workflow's sources: {e.strerror} ({e.filename}).", NODE_FAULT)

    from snakemake.azure.node.startup import (
        loading,
        one_attempt,
        own_files,
        own_jobs,
        own_targets,
        skip_unused_imports,
    )

    with loading():
        skip_unused_imports()
        from snakemake.cli import main as snakemake

        one_attempt()
        own_targets()
        own_files()
        own_jobs(order.inputs)
        use_fetched_sources(workdir)
        if measuring:
            measuring.follow()
        if shared and "conda" in order.values("--deployment-method"):
            from snakemake.azure.node.conda import share_environments
            from snakemake.azure.node.environments import BlobEnvironments, Environments

            share_environments(shared, Environments(BlobEnvironments(order.sources), complain))

    try:
        snakemake(list(order.argv))
    except SystemExit as e:
        if measuring and not e.code:
            measuring.store()
        raise


if __name__ == "__main__":
    from snakemake.azure.node.exit import leave

    try:
        main(sys.argv[1:])
    except SystemExit as e:
        if isinstance(e.code, str):
            raise
        leave(e.code or 0)
