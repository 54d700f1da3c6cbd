"""The requests about tasks: a run makes thousands, so they are added by the hundred, and lists are read as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from snakemake.azure import retry
from snakemake.azure.batch.connection import Connection
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.listed_tasks import (
    SELECTED,
    SELECTED_OF_OTHERS,
    SELECTED_TO_CHOOSE,
    ListedTask,
)
from snakemake.azure.wire import lower

TaskBody = dict[str, Any]
"""A task to be added, as it goes over the wire."""

TASKS_PER_REQUEST = 100
"""https://learn.microsoft.com/rest/api/batchservice/tasks/create-task-collection"""


@dataclass(frozen=True)
class Rejected:
    """A task that was not added, and why."""

    task_id: str
    code: str
    message: str


class TaskRequests(Connection):
    """https://learn.microsoft.com/rest/api/batchservice/tasks"""

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

    def open_tasks(self, job_id: str) -> list[ListedTask]:
        """Tasks that wait, are prepared or run, with their names; none if there is no such job."""
        states = " or ".join(f"state eq '{state}'" for state in ("active", "preparing", "running"))
        return self._those(job_id, states)

    def tasks_since(self, job_id: str, since: datetime) -> list[ListedTask]:
        """Tasks that were added after a time (UTC), with their names; none if there is no such job."""
        return self._those(job_id, f"creationTime gt DateTime'{since.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}'")

    def _those(self, job_id: str, condition: str) -> list[ListedTask]:
        try:
            return self._list_tasks(job_id, SELECTED_TO_CHOOSE, condition)
        except BatchError as e:
            if e.status == 404:
                return []
            raise

    def get_task(self, job_id: str, task_id: str) -> ListedTask | None:
        """The task as it is now, with its name; None if it, or its job, is gone."""
        params = {"$select": ",".join(SELECTED_TO_CHOOSE)}
        try:
            return ListedTask.of(
                self._send(
                    f"look up the task {task_id}", "GET", f"/jobs/{job_id}/tasks/{task_id}", params=params
                )
            )
        except BatchError as e:
            if e.status == 404:
                return None
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

    def terminate_task(self, job_id: str, task_id: str) -> None:
        """Ends the task; one that has ended, or is gone, is fine."""
        try:
            with self._explained(f"end the task {task_id}"):
                self.client.terminate_task(job_id, task_id)
        except BatchError as e:
            if e.status not in (404, 409):
                raise

    def task_file(
        self, job_id: str, task_id: str, name: str, start: int = 0, end: int | None = None
    ) -> bytes | None:
        """A file of a task, such as stderr.txt, or its bytes from `start` up to `end`. None if it, or its node, is
        gone."""
        part: dict[str, Any] = {} if end is None else {"ocp_range": f"bytes={start}-{end - 1}"}
        try:
            with self._explained(f"read {name} of the task {task_id}"):
                return b"".join(self.client.download_task_file(job_id, task_id, name, **part))
        except BatchError as e:
            if e.status in (404, 409, 416):
                return None
            raise

    def task_file_sizes(self, job_id: str, task_id: str) -> dict[str, int] | None:
        """Names and bytes of the files in the task's directory, without those in its folders. None if it, or its node,
        is not there."""
        doing = f"list the files of the task {task_id}"
        try:
            page = self._send(doing, "GET", f"/jobs/{job_id}/tasks/{task_id}/files")
        except BatchError as e:
            if e.status in (404, 409):
                return None
            raise
        files = [file for file in page.get("value") or () if not file.get("isDirectory")]
        return {file["name"]: int((file.get("properties") or {}).get("contentLength") or 0) for file in files}
