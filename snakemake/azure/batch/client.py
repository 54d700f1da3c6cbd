"""The one door to the Batch service: every request of a run goes through `Batch`.

The SDK's pipeline tries again what time may heal (`snakemake.azure.retry`), POST requests too, as each of those here
can be repeated: what a request made whose answer was lost is found to be there. For some moments the service may not
know what it has just made, which is waited out as well. What remains becomes a `BatchError`: one sentence, the
service's code, the option that helps, no secret.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure import retry
from snakemake.azure.batch.account import API_VERSION, BatchAccount
from snakemake.azure.batch.listed_tasks import SELECTED, SELECTED_OF_OTHERS, ListedTask
from snakemake.azure.batch.resource_manager import ResourceManager
from snakemake.azure.batch.service_clock import ServiceClock
from snakemake.azure.wire import lower

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.batch.models import (
        BatchJob,
        BatchJobCreateOptions,
        BatchNode,
        BatchPool,
        BatchPoolCreateOptions,
        BatchSupportedImage,
    )

T = TypeVar("T")

TaskBody = dict[str, Any]
"""A task to be added, as it goes over the wire."""

JSON = {"Accept": "application/json", "Content-Type": "application/json; odata=minimalmetadata"}

Scaled = Literal["done", "too early", "gone"]
"""What became of a request to scale a pool; "gone": there is no such pool any more."""

SETTLING = 60.0
"""Seconds after its creation in which a job or pool that is not found is looked for again."""

SETTLING_PAUSE = 1.0

TASKS_PER_REQUEST = 100
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


def _resource_manager_refused(doing: str, code: str, text: str) -> str:
    reason = ": ".join(filter(None, (code, text))).rstrip(".")
    return (
        f"Azure Resource Manager, which makes pools with an identity, refused to {doing}: {reason}. Log in (az login) "
        "as somebody with 'Azure Batch Data Contributor' on the Batch account and 'Managed Identity Operator' "
        "on the identity, and check --az-batch-identity, --az-batch-registry-identity and --az-batch-subscription-id."
    )


class Batch:
    """The requests that a run makes to its Batch account."""

    def __init__(
        self, account: BatchAccount, service: retry.Service | None = None, subscription: str = ""
    ) -> None:
        """`subscription` is where the account is, for pools that get an identity."""
        self.account = account
        self.resource_manager = ResourceManager(account, subscription)
        self.clock = ServiceClock()
        self.service = service or account.service()
        self._made: dict[str, float] = {}

    @cached_property
    def client(self) -> "BatchClient":
        return self.account.client(self.service, raw_response_hook=self.clock.hear)

    def _settled(self, name: str, call: Callable[[], T]) -> T:
        """What `call` returns. A 404 soon after the creation of the pool or job `name` is no answer: the service is not
        consistent at once."""
        patience = self.service.patience
        while True:
            try:
                return call()
            except BatchError as e:
                age = patience.clock() - self._made.get(name, float("-inf"))
                if e.status != 404 or age >= SETTLING or not patience.sleep(SETTLING_PAUSE):
                    raise

    def _note(self, name: str) -> None:
        self._made[name] = self.service.patience.clock()

    @contextmanager
    def _explained(self, doing: str, by_resource_manager: bool = False) -> Iterator[None]:
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
            if by_resource_manager and e.status_code in (400, 401, 403, 404):
                raise BatchError(_resource_manager_refused(doing, code, text), code, e.status_code) from None
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
                "'Azure Batch Data Contributor' on the account ('Azure Batch Job Submitter' for --az-batch-pool-id)."
            )
        return (
            f"The Batch account {self.account.name} at {self.account.endpoint} refused the key{why}: set "
            "AZ_BATCH_ACCOUNT_KEY to one of its two keys (az batch account keys list) and check "
            "AZ_BATCH_ACCOUNT_NAME."
        )

    def _unreachable(self, doing: str) -> str:
        url = self.account.endpoint
        if self.service.has_answered:
            waited = retry.duration(self.service.patience.seconds)
            return (
                f"The Batch service at {url} does not answer any more (trying to {doing}; --az-batch-patience is "
                f"{waited}): check the network, and start again."
            )
        if url.startswith("http://"):
            return (
                f"No Batch emulator answers at {url} (trying to {doing}): start it with "
                "'azure-batch-emulator start', or set --az-batch-account-url."
            )
        return f"No Batch service answers at {url} (trying to {doing}): check --az-batch-account-url and the network."

    def supported_images(self) -> list["BatchSupportedImage"]:
        """All OS images that pools may use. As the first request of a run it also tells whether the account
        is there and takes the credential."""
        with self._explained("list the supported OS images"):
            return list(self.client.list_supported_images())

    def create_pool(self, pool: "BatchPoolCreateOptions", identities: Sequence[str] = ()) -> str:
        """Ids are of one run alone: a pool that exists was made by a request whose answer was lost. With `identities`
        (resource ids), Azure Resource Manager makes it; returns the client id of the first."""
        self._note(pool.id)
        if identities:
            with self._explained(f"create the pool {pool.id}", by_resource_manager=True):
                client_id = self.resource_manager.create_pool(pool.as_dict(), identities)
            self._note(pool.id)
            return client_id
        with self._forgiving("PoolExists", "PoolBeingCreated"), self._explained(f"create the pool {pool.id}"):
            self.client.create_pool(pool)
        self._note(pool.id)
        return ""

    def find_account(self) -> None:
        """Looks the account up where pools with an identity are made, which asks for the login and the subscription."""
        with self._explained("look up the Batch account", by_resource_manager=True):
            _ = self.resource_manager.place

    @contextmanager
    def _forgiving(self, *codes: str) -> Iterator[None]:
        try:
            yield
        except BatchError as e:
            if e.code not in codes:
                raise

    def get_pool(self, pool_id: str) -> "BatchPool":
        def get() -> "BatchPool":
            with self._explained(f"look up the pool {pool_id}"):
                return self.client.get_pool(pool_id)

        return self._settled(pool_id, get)

    def list_pools(self) -> list["BatchPool"]:
        """All pools of the account."""
        with self._explained("list the pools"):
            return list(self.client.list_pools())

    def list_jobs(self) -> list["BatchJob"]:
        """All Batch jobs of the account."""
        with self._explained("list the Batch jobs"):
            return list(self.client.list_jobs())

    def list_nodes(self, pool_id: str) -> list["BatchNode"]:
        select = [
            "id",
            "state",
            "stateTransitionTime",
            "errors",
            "startTaskInfo",
            "isDedicated",
            "allocationTime",
            "runningTaskSlotsCount",
        ]

        def get() -> list["BatchNode"]:
            with self._explained(f"list the nodes of the pool {pool_id}"):
                return list(
                    self.client.list_nodes(pool_id, select=select),
                )

        return self._settled(pool_id, get)

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

    def scale_pool(self, pool_id: str, formula: str, interval: timedelta) -> Scaled:
        """Gives the pool a formula to scale by, and the interval of its evaluations."""
        from azure.batch.models import BatchPoolEnableAutoScaleOptions

        options = BatchPoolEnableAutoScaleOptions(
            auto_scale_formula=formula, auto_scale_evaluation_interval=interval
        )
        try:
            # Tried again by whoever keeps the lease: "once in 30 seconds" is a 503 as well.
            with self.service.patience.no_longer_than(0), self._explained(f"scale the pool {pool_id}"):
                self.client.enable_pool_auto_scale(pool_id, options)
        except BatchError as e:
            if e.code in ("TooManyEnableAutoScaleRequests", "PoolBeingResized", "PoolBeingCreated"):
                return "too early"
            if e.status == 404 or e.code == "PoolBeingDeleted":
                return "gone"
            raise
        return "done"

    def set_metadata(self, pool: "BatchPool", metadata: Mapping[str, str]) -> bool:
        """Gives the pool this metadata unless anything of it has changed since `pool` was read, or it is gone;
        whether it did.

        https://learn.microsoft.com/rest/api/batchservice/pools/update-pool
        """
        from azure.batch import models

        items = [models.BatchMetadataItem(name=name, value=value) for name, value in metadata.items()]
        return self._unless_changed(
            f"change the metadata of the pool {pool.id}",
            lambda **condition: self.client.update_pool(
                pool.id, models.BatchPoolUpdateOptions(metadata=items), **condition
            ),
            pool,
        )

    def delete_unchanged(self, pool: "BatchPool") -> bool:
        """Deletes the pool unless anything of it has changed since it was read; whether it did."""
        return self._unless_changed(
            f"delete the pool {pool.id}",
            lambda **condition: self.client.begin_delete_pool(pool.id, polling_interval=3600, **condition),
            pool,
        )

    def _unless_changed(self, doing: str, act: Callable[..., Any], pool: "BatchPool") -> bool:
        from azure.core import MatchConditions

        try:
            with self._explained(doing):
                act(etag=pool.etag, match_condition=MatchConditions.IfNotModified)
        except BatchError as e:
            if e.status in (404, 409, 412):
                return False
            raise
        return True

    def try_formula(self, pool_id: str, formula: str) -> str:
        """What the service has against a formula for this pool, which it evaluates without doing what that says; empty
        where it has nothing. That there are no samples yet is nobody's fault.

        https://learn.microsoft.com/rest/api/batchservice/pools/evaluate-pool-auto-scale
        """
        from azure.batch.models import BatchPoolEvaluateAutoScaleOptions

        def evaluate() -> Any:
            with self._explained(f"evaluate the formula for the pool {pool_id}"):
                return self.client.evaluate_pool_auto_scale(
                    pool_id, BatchPoolEvaluateAutoScaleOptions(auto_scale_formula=formula)
                )

        try:
            error = self._settled(pool_id, evaluate).error
        except BatchError as e:
            if e.code.startswith("AutoScalingFormula"):
                return str(e)
            raise
        if error is None or error.code == "InsufficientSampleData":
            return ""
        details = "; ".join(str(v.value) for v in error.error_values or [] if v.value)
        return f"{error.code}: {details or error.message}"

    def delete_pool(self, pool_id: str) -> bool:
        """Starts the deletion; a pool that is going is fine. False if there is none."""
        return self._delete("pool", pool_id, "PoolBeingDeleted")

    def create_job(self, job: "BatchJobCreateOptions") -> None:
        """As with pools, a job that exists is this run's."""

        def create() -> None:
            self._note(job.id)
            with self._forgiving("JobExists"), self._explained(f"create the Batch job {job.id}"):
                self.client.create_job(job)
            self._note(job.id)

        self._settled((job.pool_info.pool_id if job.pool_info else None) or "", create)

    def get_job(self, job_id: str) -> "BatchJob | None":
        """None if there is none."""
        try:
            with self._explained(f"look up the Batch job {job_id}"):
                return self.client.get_job(job_id)
        except BatchError as e:
            if e.status == 404:
                return None
            raise

    def extend_job(self, job_id: str, longer: timedelta) -> None:
        """Lets the job end by itself after that time from now on, not before."""
        from azure.batch.models import BatchJobConstraints, BatchJobUpdateOptions

        job = self.get_job(job_id)
        if job is None or job.creation_time is None:
            return
        wall_clock = self.clock.now() - job.creation_time + longer
        with self._explained(f"extend the Batch job {job_id}"):
            self.client.update_job(
                job_id, BatchJobUpdateOptions(constraints=BatchJobConstraints(max_wall_clock_time=wall_clock))
            )

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

    def add_tasks(self, job_id: str, tasks: Sequence[TaskBody]) -> list[Rejected]:
        """Adds the tasks, up to 100 in one request, and fewer where the request is too large. Returns those that the
        service refused. Server errors of single tasks are waited out; a task that a repeated request finds to exist is
        ours.
        """
        rejected: list[Rejected] = []
        for i in range(0, len(tasks), TASKS_PER_REQUEST):
            some, attempts = list(tasks[i : i + TASKS_PER_REQUEST]), self.service.attempts()
            while some:
                refused, again = self._add(job_id, some)
                rejected += refused
                if again and not attempts.again(retry.Trouble("ServerError")):
                    rejected += [
                        Rejected(task["id"], "ServerError", "the service failed to add it") for task in again
                    ]
                    break
                some = again
        return rejected

    def _add(self, job_id: str, tasks: list[TaskBody]) -> tuple[list[Rejected], list[TaskBody]]:
        """The tasks that were refused, and those that failed by the service's fault."""
        doing = f"add {len(tasks)} tasks to the Batch job {job_id}"
        url = f"/jobs/{job_id}/addtaskcollection"
        try:
            answer = self._settled(job_id, lambda: self._send(doing, "POST", url, json={"value": tasks}))
        except BatchError as e:
            if e.code == "RequestBodyTooLarge" and len(tasks) > 1:
                half = len(tasks) // 2
                parts = [self._add(job_id, tasks[:half]), self._add(job_id, tasks[half:])]
                return [r for refused, _ in parts for r in refused], [t for _, again in parts for t in again]
            raise
        rejected, again = [], []
        by_id = {task["id"]: task for task in tasks}
        for result in answer.get("value") or ():
            status, error = lower(result["status"]), result.get("error") or {}
            code = error.get("code") or ""
            if status == "success" or code == "TaskExists":
                continue
            if status == "servererror":
                again.append(by_id[result["taskId"]])
            else:
                text = ((error.get("message") or {}).get("value") or status).partition("\nRequestId:")[0]
                rejected.append(Rejected(result["taskId"], code, text))
        return rejected, again

    def _send(self, doing: str, method: str, url: str, **content: Any) -> dict[str, Any]:
        """The JSON of an answer, by the SDK's pipeline but without its objects: for thousands of tasks."""
        from azure.batch.models import BatchError as ErrorBody
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        if "api-version=" not in url:  # as that of a list's next page may have it
            content["params"] = {"api-version": API_VERSION, **content.get("params", {})}
        request = HttpRequest(method, url, headers=JSON, **content)
        with self._explained(doing):
            answer = self.client.send_request(request)
            if answer.status_code >= 400:
                with suppress(ValueError):
                    raise HttpResponseError(response=answer, model=ErrorBody(answer.json()))
                raise HttpResponseError(response=answer)
            return answer.json()

    def completed_tasks(self, job_id: str, since: datetime | None) -> list[ListedTask]:
        """Tasks that are completed, and whose state changed at or after `since` (UTC)."""
        condition = "state eq 'completed'"
        if since is not None:
            condition += f" and stateTransitionTime ge DateTime'{since.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}'"
        return self._settled(job_id, lambda: self._list_tasks(job_id, SELECTED, condition))

    def all_tasks(self, job_id: str) -> list[ListedTask]:
        """Every task of the job, with what it was given in its environment; none if there is no such job."""
        try:
            return self._list_tasks(job_id, SELECTED_OF_OTHERS)
        except BatchError as e:
            if e.status == 404:
                return []
            raise

    def terminate_task(self, job_id: str, task_id: str) -> None:
        """Ends the task; one that has ended, or is gone, is fine."""
        try:
            with self._explained(f"end the task {task_id}"):
                self.client.terminate_task(job_id, task_id)
        except BatchError as e:
            if e.status not in (404, 409):
                raise

    def task_states(self, job_id: str) -> dict[str, str]:
        """Id and state of every task of the job."""
        tasks = self._settled(job_id, lambda: self._list_tasks(job_id, ("id", "state")))
        return {task.id: task.state for task in tasks}

    def runs_on_nodes(self, job_id: str) -> dict[str, tuple[str, datetime | None]]:
        """Ids of the tasks that run, each with its node's, and since when it does."""
        condition, select = "state eq 'running'", ("id", "nodeInfo", "stateTransitionTime")
        tasks = self._settled(job_id, lambda: self._list_tasks(job_id, select, condition))
        return {task.id: (task.node_id, task.changed) for task in tasks}

    def _list_tasks(self, job_id: str, select: Sequence[str], condition: str = "") -> list[ListedTask]:
        doing, found = f"list the tasks of the Batch job {job_id}", []
        params = {"$select": ",".join(select)} | ({"$filter": condition} if condition else {})
        page = self._send(doing, "GET", f"/jobs/{job_id}/tasks", params=params)
        while True:
            found += [ListedTask.of(task) for task in page.get("value") or ()]
            if not (following := page.get("odata.nextLink")):
                return found
            page = self._send(doing, "GET", following)

    def node_file(self, pool_id: str, node_id: str, name: str) -> bytes | None:
        """A file of a node, such as startup/stderr.txt. None if it, or the node, is gone."""
        try:
            with self._explained(f"read {name} of the node {node_id}"):
                return b"".join(self.client.download_node_file(pool_id, node_id, name))
        except BatchError as e:
            if e.status in (404, 409):
                return None
            raise

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
        self.resource_manager.close()
        if "client" in self.__dict__:
            self.client.close()
