"""From what a Snakemake job needs to a Batch task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from snakemake.azure.node.order import NodeOrder

if TYPE_CHECKING:
    from azure.batch.models import BatchTaskCreateOptions, EnvironmentSetting

RETENTION = timedelta(hours=1)
"""How long a node keeps the directory of an ended task: enough to fetch its logs, and staged data
does not pile up on the node's disk."""

NODE_MODULE = "snakemake.azure.node"


@dataclass(frozen=True)
class Task:
    """One Batch task: its id (at most 64 characters), what it does, and what it needs of a node.

    retries: how often Batch runs it again after a non-zero exit code; -1 means without end. The Batch job's own
    number does not apply to tasks that have constraints, as these have. rule: tasks of one take about as long.
    """

    id: str
    display_name: str
    order: NodeOrder
    slots: int = 1
    runtime: timedelta | None = None
    retries: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    rule: str = ""

    def command_line(self) -> str:
        return f"python -m {NODE_MODULE} {self.order.encode()}"

    def options(self, image: str) -> "BatchTaskCreateOptions":
        """The request body for this task, in a container of `image`.

        `--rm`, because stopped containers otherwise fill the node's disk (github.com/Azure/Batch/issues/189).
        """
        from azure.batch.models import (
            BatchTaskConstraints,
            BatchTaskContainerSettings,
            BatchTaskCreateOptions,
        )

        return BatchTaskCreateOptions(
            id=self.id,
            display_name=self.display_name,
            command_line=self.command_line(),
            container_settings=BatchTaskContainerSettings(image_name=image, container_run_options="--rm"),
            environment_settings=environment_settings(self.environment) or None,
            required_slots=self.slots,
            constraints=BatchTaskConstraints(
                max_wall_clock_time=self.runtime,
                retention_time=RETENTION,
                max_task_retry_count=self.retries,
            ),
        )


def environment_settings(variables: Mapping[str, str]) -> "list[EnvironmentSetting]":
    from azure.batch.models import EnvironmentSetting

    return [EnvironmentSetting(name=name, value=value) for name, value in variables.items()]
