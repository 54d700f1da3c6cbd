"""The one door to the Batch service: every request of a run goes through `Batch`.

The SDK's pipeline retries what is worth retrying (408, 429, 5xx, lost connections; see `BatchAccount.client`), POST
requests too, as each of those here can be repeated: what a request made whose answer was lost is found to be there.
What remains becomes a `BatchError`: one sentence, the service's code, the option that helps, no secret.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.wire import lower

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.batch.models import (
        BatchJobCreateOptions,
        BatchNode,
        BatchPool,
        BatchPoolCreateOptions,
        BatchSupportedImage,
        BatchTask,
        BatchTaskCreateOptions,
    )

TASKS_PER_REQUEST = 100
FOUND_SECONDS = 30.0  # others retry for 10 seconds
"""https://learn.microsoft.com/rest/api/batchservice/tasks/create-task-collection"""


class BatchError(WorkflowError):
    """A request that the service refused for good, or that never reached it."""

    def __init__(self, message: str, code: str = "", status: int | None = None):
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Rejected:
    """A task that was not added, and why."""

    task_id: str
    code: str
    message: str


# What a refused property of a request is set by.
_OPTIONS = {
    "vmsize": "--az-batch-vm-size",
    "taskslotspernode": "--az-batch-slots-per-node",
    "containerimagenames": "--container-image",
    "imagereference": "--az-batch-os-image",
    "nodeagentskuid": "--az-batch-os-image",
    "targetdedicatednodes": "--az-batch-nodes",
}


def option_for(text: str) -> str:
    """The sentence `Set --option.` for the property that a refusal speaks of, or nothing."""
    return next((f" Set {option}." for name, option in _OPTIONS.items() if name in text.lower()), "")


def error_details(error: Any) -> tuple[str, str]:
    """Code and text of the service's error body, without the request id and time that follow the text."""
    body = getattr(error, "model", None) or getattr(error, "error", None)
    code = str(getattr(body, "code", None) or "")
    message = getattr(body, "message", None)
    text = str(getattr(message, "value", None) or message or "").partition("\nRequestId:")[0].strip()
    details = {
        str(getattr(v, "key", "")): str(getattr(v, "value", ""))
        for v in (getattr(body, "error_values", None) or [])
    }
    if reason := details.get("Reason") or details.get("Message"):
        named = " ".join(filter(None, (details.get("PropertyName"), details.get("PropertyValue"))))
        text = f"{text} ({named + ': ' if named else ''}{reason})"
    return code, text


class Batch:
    """The requests that a run makes to its Batch account."""

    def __init__(self, account: BatchAccount, **pipeline: Any):
        self.account = account
        self._pipeline = pipeline

    @cached_property
    def client(self) -> "BatchClient":
        return self.account.client(**self._pipeline)

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Turns the SDK's exceptions into a `BatchError` that says what was being done."""
        from azure.core.exceptions import (
            AzureError,
            ClientAuthenticationError,
            HttpResponseError,
            ServiceRequestError,
            ServiceResponseError,
        )

        try:
            yield
        except HttpResponseError as e:
            code, text = error_details(e)
            if e.status_code in (401, 403) or isinstance(e, ClientAuthenticationError):
                raise BatchError(self._refused(code, text), code, e.status_code) from None
            reason = ": ".join(filter(None, (code, text))) or f"HTTP status {e.status_code}"
            sentence = f"Azure Batch refused to {doing}: {reason.rstrip('.')}.{option_for(text)}"
            raise BatchError(sentence, code, e.status_code) from None
        except (ServiceRequestError, ServiceResponseError):
            raise BatchError(self._unreachable(doing)) from None
        except AzureError as e:
            raise BatchError(f"Azure Batch could not {doing}: {type(e).__name__}.") from None

    def _refused(self, code: str, text: str) -> str:
        why = f" ({code}: {text.splitlines()[0]})" if text else f" ({code})" if code else ""
        if self.account.key is None:
            return (
                f"The Batch account {self.account.name} accepts no credentials that were found here{why}: set "
                "AZ_BATCH_ACCOUNT_KEY, or log in (az login) with an identity that has the role "
                "'Azure Batch Data Contributor' on the account."
            )
        return (
            f"The Batch account {self.account.name} at {self.account.endpoint} refused the key{why}: set "
            "AZ_BATCH_ACCOUNT_KEY to one of its two keys (az batch account keys list) and check "
            "AZ_BATCH_ACCOUNT_NAME."
        )

    def _unreachable(self, doing: str) -> str:
        url = self.account.endpoint
        if url.startswith("http://"):
            return (
                f"No Batch emulator answers at {url} (trying to {doing}): start it with "
                "'azure-batch-emulator start', or set --az-batch-account-url."
            )
        return f"No Batch service answers at {url} (trying to {doing}): check --az-batch-account-url and the network."

    def supported_images(self) -> list["BatchSupportedImage"]:
        """All OS images that pools may use. As the first request of a run it also tells whether the account
        is there and takes the credential, so it does not wait long for a host that does not answer."""
        with self._explained("list the supported OS images"):
            return list(
                self.client.list_supported_images(retry_connect=1, retry_read=1, connection_timeout=10)
            )

    def create_pool(self, pool: "BatchPoolCreateOptions") -> None:
        """Ids are of one run alone: a pool that exists was made by a request whose answer was lost."""
        made = ("PoolExists", "PoolBeingCreated")
        with self._forgiving(*made), self._explained(f"create the pool {pool.id}"):
            self.client.create_pool(pool)
        self._until_found("pool", lambda: self.client.get_pool(pool.id, select=["id"]))

    def _until_found(self, what: str, get: Callable[[], object]) -> None:
        """The service may not find for some seconds what it has just made
        (JobNotFound, as others report it)."""
        deadline = time.monotonic() + FOUND_SECONDS
        while True:
            try:
                with self._explained(f"look up the {what} that was made"):
                    get()
                return
            except BatchError as e:
                if e.status != 404 or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    @contextmanager
    def _forgiving(self, *codes: str) -> Iterator[None]:
        try:
            yield
        except BatchError as e:
            if e.code not in codes:
                raise

    def get_pool(self, pool_id: str) -> "BatchPool":
        with self._explained(f"look up the pool {pool_id}"):
            return self.client.get_pool(pool_id)

    def list_nodes(self, pool_id: str) -> list["BatchNode"]:
        with self._explained(f"list the nodes of the pool {pool_id}"):
            return list(
                self.client.list_nodes(
                    pool_id, select=["id", "state", "errors", "startTaskInfo", "isDedicated"]
                )
            )

    def disable_node(self, pool_id: str, node_id: str) -> bool:
        """Lets a node take no more tasks; those that run on it end there. False: it takes none as it is, or is gone.

        https://learn.microsoft.com/rest/api/batchservice/nodes/disable-node-scheduling
        """
        from azure.batch import models

        options = models.BatchNodeDisableSchedulingOptions(
            node_disable_scheduling_option=models.BatchNodeDisableSchedulingOption.TASK_COMPLETION
        )
        try:
            with self._explained(f"disable scheduling on the node {node_id} of the pool {pool_id}"):
                self.client.disable_node_scheduling(pool_id, node_id, options)
        except BatchError as e:
            if e.status in (404, 409):
                return False
            raise
        return True

    def resize_pool(self, pool_id: str, nodes: int) -> bool:
        """Asks for `nodes` dedicated nodes. False: the pool is being resized; ask again later."""
        from azure.batch.models import BatchPoolResizeOptions

        try:
            with self._explained(f"resize the pool {pool_id}"):
                # The poller's thread asks once and then sleeps; nobody waits for it.
                self.client.begin_resize_pool(
                    pool_id,
                    BatchPoolResizeOptions(target_dedicated_nodes=nodes),
                    polling_interval=3600,
                )
        except BatchError as e:
            if e.code == "PoolBeingResized":
                return False
            raise
        return True

    def delete_pool(self, pool_id: str) -> bool:
        """Starts the deletion; a pool that is going is fine. False if there is none."""
        return self._delete("pool", pool_id, "PoolBeingDeleted")

    def create_job(self, job: "BatchJobCreateOptions") -> None:
        """As with pools, a job that exists is this run's."""
        with self._forgiving("JobExists"), self._explained(f"create the Batch job {job.id}"):
            self.client.create_job(job)
        self._until_found("Batch job", lambda: self.client.get_job(job.id, select=["id"]))

    def delete_job(self, job_id: str) -> bool:
        """Starts the deletion of the job and its tasks; a job that is going is fine. False if there is none."""
        return self._delete("job", job_id, "JobBeingDeleted")

    def _delete(self, kind: str, name: str, going: str) -> bool:
        begin = self.client.begin_delete_pool if kind == "pool" else self.client.begin_delete_job
        try:
            with self._explained(f"delete the {kind} {name}"):
                begin(name, polling_interval=3600)
        except BatchError as e:
            if e.status == 404:
                return False
            if e.code != going:
                raise
        return True

    def add_tasks(self, job_id: str, tasks: Sequence["BatchTaskCreateOptions"]) -> list[Rejected]:
        """Adds up to 100 tasks in one request, fewer at a time where the request is too large.

        The SDK's `create_tasks` reverses the order and overlooks errors whose case differs, hence the raw
        operation. Server errors of single tasks are sent once more; a task that a repeated request finds to
        exist is ours.
        """
        if len(tasks) > TASKS_PER_REQUEST:
            return [
                r
                for i in range(0, len(tasks), TASKS_PER_REQUEST)
                for r in self.add_tasks(job_id, tasks[i : i + TASKS_PER_REQUEST])
            ]
        from azure.batch.models import BatchTaskGroup

        try:
            with self._explained(f"add {len(tasks)} tasks to the Batch job {job_id}"):
                results = self.client.create_task_collection(job_id, BatchTaskGroup(task_values=list(tasks)))
        except BatchError as e:
            if e.code == "RequestBodyTooLarge" and len(tasks) > 1:
                half = len(tasks) // 2
                return self.add_tasks(job_id, tasks[:half]) + self.add_tasks(job_id, tasks[half:])
            raise
        rejected, again = [], []
        by_id = {task.id: task for task in tasks}
        for result in results.result_values or []:
            status = lower(result.status)
            code = str(result.error.code) if result.error else ""
            if status == "success" or code == "TaskExists":
                continue
            if status == "servererror":
                again.append(by_id[result.task_id])
            else:
                message = result.error.message.value if result.error and result.error.message else ""
                text = str(message or status).partition("\nRequestId:")[0]
                rejected.append(Rejected(result.task_id, code, text))
        if again and len(again) < len(tasks):
            rejected += self.add_tasks(job_id, again)
        else:
            rejected += [Rejected(task.id, "ServerError", "the service failed to add it") for task in again]
        return rejected

    def completed_tasks(self, job_id: str, since: datetime | None) -> list["BatchTask"]:
        """Tasks that are completed, and whose state changed at or after `since` (UTC)."""
        condition = "state eq 'completed'"
        if since is not None:
            condition += f" and stateTransitionTime ge DateTime'{since.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}'"
        with self._explained(f"list the tasks of the Batch job {job_id}"):
            return list(
                self.client.list_tasks(
                    job_id,
                    filter=condition,
                    select=["id", "state", "stateTransitionTime", "executionInfo", "nodeInfo"],
                )
            )

    def task_states(self, job_id: str) -> dict[str, str]:
        """Id and state of every task of the job."""
        with self._explained(f"list the tasks of the Batch job {job_id}"):
            tasks = self.client.list_tasks(job_id, select=["id", "state"])
            return {task.id: lower(task.state) for task in tasks}

    def task_file(self, job_id: str, task_id: str, name: str) -> bytes | None:
        """A file of a task, such as stderr.txt. None if it, or its node, is gone."""
        try:
            with self._explained(f"read {name} of the task {task_id}"):
                return b"".join(self.client.download_task_file(job_id, task_id, name))
        except BatchError as e:
            if e.status in (404, 409):
                return None
            raise

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()
