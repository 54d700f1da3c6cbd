"""Keeps a task from writing once its run is over, whatever the task and its node believe.

Each run has a token in storage (`RunToken`). A task reads it before it stores or removes anything, and refuses when it
is gone or names other tasks. That alone leaves a gap: between the reading and the writing the run may end, and another
one write the same blob. So each write has a condition on the blob, which was known *before* the token was read: that
there is none, or that it is the one that was seen. Whoever ends a run changes its token before any new task writes; so
a write that this token still allowed meets, if it comes after a new task's, a condition that no longer holds. Then the
blob is looked at again, the token read again, and in that order the same holds for the next try. A task whose run goes
on overwrites what it finds: by then, that is of nobody who may still write.

https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.errors import BlobError, error_code, explained
from snakemake.azure.blob.service import connect

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

T = TypeVar("T")

TOKEN = "SNAKEMAKE_AZBATCH_TOKEN"
"""The variable that names a task's token, `CONTAINER/BLOB`; without it nothing is fenced."""

TASK = "AZ_BATCH_TASK_ID"
"""https://learn.microsoft.com/azure/batch/batch-compute-node-environment-variables"""

FRESH = 5.0
"""Seconds for which a reading of the token does for further writes; what is lost by it the conditions hold."""

TRIES = 20

Head = Callable[[], str | None]
"""Asks for a blob's entity tag, None where there is no blob."""


class RunIsOver(BlobError):
    """The task's run is over, or has given up this task."""


class Fence:
    """The token `name` (`CONTAINER/BLOB`) for the task `task`. `fetch` reads it, and returns None where it is gone."""

    def __init__(
        self,
        name: str,
        task: str,
        fetch: Callable[[], bytes | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._task, self._fetch, self._clock = name, task, fetch, clock
        self._read: float | None = None
        self._lock = threading.Lock()

    @classmethod
    def of_task(
        cls,
        store: BlobAccount,
        service: "Callable[[], BlobServiceClient]",
        environ: Mapping[str, str] = os.environ,
    ) -> "Fence | None":
        """That of the task which this process runs, None in any other process. The token is in the default storage
        account; `service` connects to the account `store`, and is used where the two are the same.
        """
        name = environ.get(TOKEN)
        if not name:
            return None
        account = BlobAccount.resolve(environ=environ)
        reach = service if account.url == store.url else lambda: connect(account)
        return cls(name, environ.get(TASK, ""), lambda: _content(account, name, reach()))

    def check(self, anew: bool = False) -> None:
        """Reads the token, unless it was read just before.

        Raises
        ------
        RunIsOver: this task may not write any more.
        """
        with self._lock:
            now = self._clock()
            if not anew and self._read is not None and now - self._read < FRESH:
                return
            token = self._fetch()
            if token is None:
                raise self._over("its run is over")
            allowed = _tasks(token)
            if allowed is not None and self._task.lower() not in allowed:
                raise self._over("another run has the task's job")
            self._read = now

    def _over(self, why: str) -> RunIsOver:
        return RunIsOver(
            f"The task {self._task} stores nothing: {why} (az://{self._name}).", None, "RunIsOver"
        )

    def write(self, head: Head, put: Callable[[dict[str, Any]], T], seen: str | None = None) -> T:
        """What `put` returns, which is called with conditions for its request: that there is no blob, or the one whose
        tag is `seen`, or else the one that `head` then finds.
        """
        from azure.core.exceptions import HttpResponseError

        self.check()
        for _ in range(TRIES - 1):
            try:
                return put(_condition(seen))
            except HttpResponseError as error:
                if not _has_changed(error):
                    raise
            seen = head()
            self.check(anew=True)
        return put(_condition(seen))


def _condition(seen: str | None) -> dict[str, Any]:
    from azure.core import MatchConditions

    if seen is None:
        return {"match_condition": MatchConditions.IfMissing}
    return {"etag": seen, "match_condition": MatchConditions.IfNotModified}


def _has_changed(error: Any) -> bool:
    return error_code(error) in ("BlobAlreadyExists", "ConditionNotMet") or (
        error.status_code == 404 and error_code(error) == "BlobNotFound"
    )


def _tasks(token: bytes) -> frozenset[str] | None:
    """The tasks that alone may write, in lower case; None for all. A token that can't be read allows none."""
    try:
        tasks = json.loads(token).get("tasks")
        return None if tasks is None else frozenset(str(task).lower() for task in tasks)
    except (ValueError, AttributeError, TypeError):
        return frozenset()


def _content(account: BlobAccount, name: str, service: "BlobServiceClient") -> bytes | None:
    from azure.core.exceptions import ResourceNotFoundError

    container, _, blob = name.partition("/")
    with explained(account, f"az://{name}"):
        try:
            return service.get_blob_client(container, blob).download_blob().readall()
        except ResourceNotFoundError:
            return None


class RunToken:
    """The token of a run, as its client writes it: below the prefix `CONTAINER[/PATH]`. Methods raise BlobError."""

    def __init__(self, account: BlobAccount, prefix: str, run_id: str) -> None:
        self.account = account
        self.name = f"{prefix}/.snakemake-azbatch/{run_id}/token"

    def environment(self) -> dict[str, str]:
        """What makes a task look at it."""
        return {TOKEN: self.name}

    def allow(self, tasks: Iterable[str] | None = None) -> None:
        """From now on these tasks alone may write; None stands for all tasks of the run."""
        data = json.dumps({} if tasks is None else {"tasks": sorted(tasks)}).encode()
        container, _, blob = self.name.partition("/")
        with connect(self.account) as service, explained(self.account, f"az://{self.name}"):
            service.get_blob_client(container, blob).upload_blob(data, overwrite=True)

    def delete(self) -> bool:
        """From now on no task of the run may write. False if that was so before."""
        from azure.core.exceptions import ResourceNotFoundError

        container, _, blob = self.name.partition("/")
        with connect(self.account) as service, explained(self.account, f"az://{self.name}"):
            try:
                service.get_blob_client(container, blob).delete_blob()
            except ResourceNotFoundError:
                return False
            return True
