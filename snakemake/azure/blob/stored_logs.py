"""Logs of failed tasks in Blob Storage, beside the run's sources: what remains of them when their node is gone.

The task writes them (`snakemake.azure.node.watch`), the client reads them when the node has none any more, and deletes
them at the end of the run.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from snakemake.azure.blob.stored_usage import is_usage, read

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount

STDERR, STDOUT = "stderr.txt", "stdout.txt"
"""https://learn.microsoft.com/azure/batch/files-and-directories"""


def folder(sources: str) -> str:
    """`CONTAINER/PATH` of the logs of the run whose source archive is `sources` (`CONTAINER/BLOB`)."""
    return f"{sources.rpartition('/')[0]}/logs"


class StoredLogs:
    """The logs of one run, in `folder` (`CONTAINER/PATH`). Methods raise BlobError; `patience` as in
    `snakemake.azure.blob.service.connect`. `keep` takes what tasks have used before it is deleted, see
    `snakemake.azure.blob.stored_usage`."""

    def __init__(
        self,
        account: "BlobAccount",
        folder: str,
        patience: float | None = None,
        keep: Callable[[bytes], None] | None = None,
    ):
        self.account = account
        self.name = folder
        self.patience = patience
        self.keep = keep
        self._failed: set[str] = set()
        self._kept: set[str] = set()

    def store(self, task_id: str, path: Path) -> None:
        """Stores a log of the task under its file's name."""
        from snakemake.azure.blob.errors import explained
        from snakemake.azure.blob.service import connect

        container, blob = self._place(task_id, path.name)
        with (
            path.open("rb") as file,
            connect(self.account, self.patience) as service,
            explained(self.account, f"az://{container}/{blob}"),
        ):
            service.get_blob_client(container, blob).upload_blob(file, overwrite=True)

    def fetch(self, task_id: str, name: str) -> bytes | None:
        """A log's content, None if there is none."""
        from azure.core.exceptions import ResourceNotFoundError

        from snakemake.azure.blob.errors import explained
        from snakemake.azure.blob.service import connect

        container, blob = self._place(task_id, name)
        with (
            connect(self.account, self.patience) as service,
            explained(self.account, f"az://{container}/{blob}"),
        ):
            try:
                return service.get_blob_client(container, blob).download_blob().readall()
            except ResourceNotFoundError:
                return None

    def expect(self, task_id: str) -> None:
        """Notes a failed task, so that its logs are found without a permission to list."""
        self._failed.add(task_id)

    def delete(self) -> bool:
        """Removes all logs of the run, and what its tasks have used; False if there are none."""
        from snakemake.azure.blob.errors import BlobError
        from snakemake.azure.blob.store import BlobStore

        container, _, prefix = self.name.partition("/")
        store = BlobStore(self.account, patience=self.patience)
        try:
            names = [blob.name for blob in store.below(container, prefix)]
        except BlobError as e:
            if e.status != 403:
                raise
            names = [self._place(task, name)[1] for task in sorted(self._failed) for name in (STDERR, STDOUT)]
        if self.keep is not None:
            for name in sorted(name for name in names if is_usage(prefix, name) and name not in self._kept):
                self.keep(read(store, container, name))
                self._kept.add(name)
        store.delete_all(container, names)
        return bool(names)

    def _place(self, task_id: str, name: str) -> tuple[str, str]:
        container, _, prefix = self.name.partition("/")
        return container, f"{prefix}/{task_id}/{name}"
