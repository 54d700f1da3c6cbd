"""The tasks of a run go to queues: each is a pool, and the Batch job that is bound to it."""

from dataclasses import dataclass, field
from datetime import datetime

from snakemake.azure.batch.monitor import Monitor
from snakemake.azure.batch.node_health import NodeHealth
from snakemake.azure.batch.pools import PoolPlan


@dataclass
class PoolQueue:
    """A pool and the Batch job bound to it: tasks are added to the job and run on the pool's nodes."""

    pool_id: str
    job_id: str
    monitor: Monitor
    plan: PoolPlan | None
    """How the pool was made; None for a pool that is not the run's to size or to delete."""
    open_slots: dict[str, int] = field(default_factory=dict)
    taken_over: bool = False
    """Whether another run has made it: no task is added."""
    is_used: bool = False
    """Whether tasks of this run have been added; the pool is there before them."""
    looked: datetime | None = None
    idle_since: datetime | None = None
    seen: str = ""
    short: str = ""
    """What its pool is short of, as the last look had it."""
    said: datetime | None = None
    health: NodeHealth = field(default_factory=NodeHealth)
    broken: set[str] = field(default_factory=set)
    """Nodes that could not be set up, as the last look had it."""
    said_limit: bool = False
    """Whether it was said that no more of them are removed."""
