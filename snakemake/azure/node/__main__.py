"""What runs inside a task: from the container's start to the finished upload in one Python process.

`python -m snakemake.azure.node ORDER` lays the workflow's sources into the task's working directory and goes on
as Snakemake in the same process: no `pip install`, no second interpreter. The sources are fetched by the first
task on a node, under a lock, into the directory that all tasks of the node share; the others copy them from
there. A task gets its own copy, because a job may write into the directories of its workflow.
"""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from snakemake.azure.batch.tasks import NodeOrder

SHARED = "snakemake-sources"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file `path`; the system frees it however the process ends."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sources_on_node(shared: Path, order: NodeOrder, fetch: Callable[[str], bytes]) -> Path:
    """The node's unpacked copy of the sources, fetched now if this is the first task to ask for it.

    `fetch` gets `CONTAINER/BLOB` and returns the archive's bytes.
    """
    from snakemake.azure.sources import unpack

    home = shared / SHARED
    home.mkdir(parents=True, exist_ok=True)
    copy = home / order.sha256
    if copy.is_dir():
        return copy
    with locked(home / f"{order.sha256}.lock"):
        if not copy.is_dir():
            # Unpacked beside and renamed: the name exists only when all of it is there.
            partial = Path(tempfile.mkdtemp(prefix=f"{order.sha256}.", dir=home))
            try:
                unpack(fetch(order.sources), order.sha256, partial)
                partial.chmod(0o755)
                partial.rename(copy)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return copy


def fetch_blob(name: str) -> bytes:
    """The content of `CONTAINER/BLOB`, with the credentials in this task's environment."""
    from snakemake.azure.blob.account import BlobAccount

    container, _, blob = name.partition("/")
    with BlobAccount.resolve().service() as service:
        return service.get_blob_client(container, blob).download_blob().readall()


def prepare_environment(environ: Mapping[str, str], workdir: Path) -> dict[str, str]:
    """Variables to set so that a user without a home directory, as Batch's task user may be, can work."""
    changes = {}
    home = environ.get("HOME", "")
    if not home or not os.access(home, os.W_OK):
        changes["HOME"] = str(workdir)
    base = Path(changes.get("HOME", home))
    if not environ.get("XDG_CACHE_HOME") or not os.access(environ["XDG_CACHE_HOME"], os.W_OK):
        changes["XDG_CACHE_HOME"] = str(base / ".cache")
    return changes


def fail(message: str) -> NoReturn:
    print(f"snakemake.azure.node: {message}", file=sys.stderr, flush=True)
    sys.exit(1)


def main(argv: list[str]) -> None:
    if len(argv) != 1:
        fail("expects one argument, the order that snakemake --az-batch put into the task's command line.")
    try:
        order = NodeOrder.decode(argv[0])
    except ValueError as e:
        fail(f"{e}: are the client's and the image's Snakemake of the same version?")
    workdir = Path(os.environ.get("AZ_BATCH_TASK_WORKING_DIR") or Path.cwd())
    shared = os.environ.get("AZ_BATCH_NODE_SHARED_DIR")
    os.chdir(workdir)
    os.environ.update(prepare_environment(os.environ, workdir))

    from azure.core.exceptions import AzureError
    from snakemake_interface_common.exceptions import WorkflowError

    try:
        copy = sources_on_node(Path(shared) if shared else workdir.parent, order, fetch_blob)
        shutil.copytree(copy, workdir, dirs_exist_ok=True, symlinks=True)
    except WorkflowError as e:
        fail(f"cannot fetch the workflow's sources: {e}")
    except AzureError as e:
        # The text of an SDK error can hold a URL with its SAS.
        status = getattr(e, "status_code", None) or type(e).__name__
        fail(f"cannot fetch the workflow's sources {order.sources}: blob storage answered {status}.")
    except OSError as e:
        fail(f"cannot lay out the workflow's sources: {e.strerror} ({e.filename}).")

    from snakemake.azure.node.startup import lean, loading, one_attempt, own_files, own_targets

    with loading():
        lean()
        from snakemake.cli import main as snakemake

        one_attempt()
        own_targets()
        own_files()

    snakemake(list(order.argv))


if __name__ == "__main__":
    from snakemake.azure.node.exit import leave

    try:
        main(sys.argv[1:])
    except SystemExit as e:
        if isinstance(e.code, str):
            raise
        leave(e.code or 0)
