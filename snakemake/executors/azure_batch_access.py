"""What the tasks of a workflow may do in storage: all containers that it names, and write to those of its outputs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from snakemake.azure.blob.node_access import NodeAccess
from snakemake.azure.preflight.storage import storage_uses
from snakemake.executors.azure_batch_checks import Checked


def node_access(workflow: Any, checked: Checked, warn: Callable[[str], None]) -> NodeAccess:
    """The access of the tasks of `workflow` (Snakemake's); nothing is asked of storage yet."""
    files = [f for rule in workflow.rules for f in (*rule.output, *rule.log, rule.benchmark) if f]
    places = [checked.source_prefix, *(p.removeprefix("az://") for p in checked.output_cache.values())]
    registry = workflow.storage_registry
    return NodeAccess(
        checked.run_id,
        storage_uses(
            registry.default_storage_provider,
            registry._storages,
            files,
            [place.partition("/")[0] for place in places],
        ),
        now=lambda: datetime.now(UTC),
        lifetime=timedelta(hours=checked.settings.sas_hours),
        warn=warn,
    )
