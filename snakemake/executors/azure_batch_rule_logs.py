"""What a failed job has left in its rule's `log:` files, for the error message. They lie in storage, not here."""

from datetime import datetime, timedelta

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake.azure.blob.objects import StorageObject
from snakemake.azure.blob.tail import Tail, tail

SHOWN_LINES = 20
SHOWN_BYTES = 64 * 1024
RESOLUTION = timedelta(seconds=1)
"""Of the times at which blobs were changed."""


def rule_logs(job: JobExecutorInterface, since: datetime | None) -> str:
    """The ends of the job's logs in Blob Storage, those of a group's jobs too; empty if there are none. A log that is
    older than `since` is of another run."""
    return "".join(_rule_log(f.storage_object, since) for f in job.log if f.is_storage)


def _rule_log(log: object, since: datetime | None) -> str:
    if not isinstance(log, StorageObject):
        return ""
    try:
        found = tail(log.store, log.container, log.name, SHOWN_BYTES)
    except WorkflowError as e:
        return f"The log cannot be shown: {e} "
    if found is None or not found.data or b"\0" in found.data:
        return ""
    if since is not None and found.modified + RESOLUTION < since:
        return ""
    return _excerpt(found, log.query)


def _excerpt(log: Tail, name: str) -> str:
    lines = log.data.decode(errors="replace").splitlines()
    shown = lines[-SHOWN_LINES:]
    title = "The content" if log.whole and len(shown) == len(lines) else f"The last {len(shown)} lines"
    return f"\n{title} of the log {name}:\n" + "".join(f"  | {line}\n" for line in shown)
