"""What a run on Azure Batch (`snakemake.azure.batch.run`) goes by, grouped by subject: what its tasks have in common,
how it deals with pools, who hears of what, and what it asks about the workflow's jobs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from snakemake.azure.batch.autoscale import AutoScale
from snakemake.azure.batch.fallback import Movable, nobody_moves
from snakemake.azure.batch.pool_definition import POOL_USER, TaskUser
from snakemake.azure.batch.scaling import NextJob
from snakemake.azure.report.journal import Journal


class Made(Protocol):
    """What a run has made, or is about to make: its pools (`made`), and Batch jobs, each with its pool's id."""

    id: str

    def made(self, what: str) -> tuple[str, ...]: ...

    def jobs(self) -> tuple[tuple[str, str], ...]: ...


@dataclass(frozen=True)
class TaskDefaults:
    """What all tasks have in common. environment: variables, secrets included, which travel in the Batch job's common
    environment settings; user: whom they run as; run_options: further options of their containers, as for `docker run`.
    """

    image: str
    environment: Mapping[str, str]
    user: TaskUser = POOL_USER
    run_options: str = ""


@dataclass(frozen=True)
class PoolRules:
    """How the run deals with its pools.

    patience: how long one is waited for; spot_patience: how long its Spot nodes are; keep: for how long pools stay
    after the run, for another one; autoscale: by what the service sizes them, if it does; tags: names and values that
    pools and Batch jobs get; keep_failed: for how long the node of a failed task stays.
    """

    patience: timedelta
    spot_patience: timedelta = timedelta(minutes=10)
    keep: timedelta | None = None
    autoscale: AutoScale | None = None
    tags: Sequence[tuple[str, str]] = ()
    keep_failed: timedelta | None = None


@dataclass(frozen=True)
class Listeners:
    """Who hears of what the run does. say, warn: told a sentence for people; noted: called before anything is made;
    wake: called when a pool's lease says something new; note_left: told, as pairs of kind and name, what can't be
    deleted now; journal: notes what happens."""

    say: Callable[[str], None]
    warn: Callable[[str], None]
    noted: Callable[[Made], None] = lambda run: None
    wake: Callable[[], None] = lambda: None
    note_left: Callable[[Sequence[tuple[str, str]]], None] = lambda left: None
    journal: Journal = field(default_factory=Journal)


@dataclass(frozen=True)
class Workload:
    """What the run asks about the workflow's jobs. movable, has_nodes: see `snakemake.azure.batch.fallback.Fallback`;
    ahead: what the DAG makes ready next."""

    movable: Movable = nobody_moves
    has_nodes: Callable[[str], None] = lambda key: None
    ahead: Callable[[], Sequence[NextJob]] = tuple


UNKNOWN = Workload()
"""No task can go elsewhere, and nothing is known to come."""
