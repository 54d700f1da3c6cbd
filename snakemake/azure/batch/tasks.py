"""From what a Snakemake job needs to a Batch task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from snakemake.azure.batch.pool_definition import POOL_USER, TaskUser
from snakemake.azure.node.order import NodeOrder

if TYPE_CHECKING:
    from azure.batch.models import EnvironmentSetting

RETENTION = timedelta(hours=1)
"""How long a node keeps the directory of an ended task: enough to fetch its logs, and staged data
does not pile up on the node's disk."""

NODE_MODULE = "snakemake.azure.node"


@dataclass(frozen=True)
class Task:
    """One Batch task: its id (at most 64 characters), what it does, and what it needs of a node.

    retries: how often Batch runs it again after a non-zero exit code; -1 means without end. The Batch job's own
    number does not apply to tasks that have constraints, as these have. retention: for how long its node keeps its
    directory when it has ended. spot_tries: how often it may begin on Spot
    nodes; image: one of its own, in place of the run's; rule: tasks of one take about as long;
    asked: what its job asks for, for the run's journal.
    """

    id: str
    display_name: str
    order: NodeOrder
    slots: int = 1
    runtime: timedelta | None = None
    retries: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    rule: str = ""
    spot_tries: int = 0
    image: str | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)
    retention: timedelta = RETENTION

    def noted(self, job_id: str, pool_id: str) -> dict[str, Any]:
        """For the run's journal."""
        sent = {"task": self.id, "rule": self.rule, "batch_job": job_id, "pool": pool_id, "slots": self.slots}
        return {**sent, **self.asked}

    def command_line(self) -> str:
        return f"python -m {NODE_MODULE} {self.order.encode()}"

    def body(self, image: str, user: TaskUser = POOL_USER, run_options: str = "") -> dict[str, Any]:
        """The request's body for this task, in a container of `image` where it has none of its own, made with further
        `run_options`, as it goes over
        the wire: the SDK's objects take more time than all else that is done for a task.

        `--rm`, because stopped containers otherwise fill the node's disk (github.com/Azure/Batch/issues/189).
        https://learn.microsoft.com/rest/api/batchservice/tasks/create-task-collection
        """
        constraints = {"retentionTime": _iso(self.retention), "maxTaskRetryCount": self.retries}
        if self.runtime is not None:
            constraints["maxWallClockTime"] = _iso(self.runtime)
        body = {
            "id": self.id,
            "displayName": self.display_name,
            "commandLine": self.command_line(),
            "containerSettings": {
                "imageName": self.image or image,
                "containerRunOptions": f"--rm {run_options}".rstrip(),
            },
            "userIdentity": user.wire(),
            "requiredSlots": self.slots,
            "constraints": constraints,
        }
        if self.environment:
            body["environmentSettings"] = [{"name": n, "value": v} for n, v in self.environment.items()]
        return body


@lru_cache(maxsize=1000)
def _iso(duration: timedelta) -> str:
    from isodate import duration_isoformat

    return duration_isoformat(duration)


def environment_settings(variables: Mapping[str, str]) -> "list[EnvironmentSetting]":
    from azure.batch.models import EnvironmentSetting

    return [EnvironmentSetting(name=name, value=value) for name, value in variables.items()]
