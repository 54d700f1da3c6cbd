"""Profiles: how long the cloud takes for things, what it allows, and what goes wrong.

`profile_files.load_profile` reads them from JSON files; docs/emulator/profiles.md describes every entry.
"""

from dataclasses import dataclass, field
from random import Random

Span = tuple[float, float]  # seconds: least, most
NONE: Span = (0.0, 0.0)


@dataclass(frozen=True)
class NodeFaults:
    """Rates per hour that a node is up, shares (0 to 1) of boots, start tasks, allocations and resizes, and the cores
    that the region has for low-priority nodes, from so many seconds after the service's start on (None: no limit)."""

    preemptions_per_node_hour: float = 0.0
    losses_per_node_hour: float = 0.0
    late_nodes: float = 0.0
    boot_failures: float = 0.0
    start_task_failures: float = 0.0
    allocation_failures: float = 0.0
    allocation_stalls: float = 0.0
    blind_resizes: float = 0.0
    low_priority_capacity: tuple[tuple[float, int | None], ...] = ()


@dataclass(frozen=True)
class HttpFaults:
    """Shares (0 to 1) of requests that are throttled (429), refused (503), failed (500, half of them after they took
    effect), cut off before or after they took effect, or answered late; together at most 1. And how often, per hour,
    the service is not there at all, and for how long."""

    throttled: float = 0.0
    busy: float = 0.0
    failed: float = 0.0
    dropped_before: float = 0.0
    dropped_after: float = 0.0
    slow: float = 0.0
    slowness: Span = (1.0, 1.0)
    retry_after: Span = (1.0, 1.0)
    outages_per_hour: float = 0.0
    outage: Span = (1.0, 1.0)


@dataclass(frozen=True)
class Profile:
    """Delays in seconds as (least, most); quotas of the account, None for no limit. `task` is what a task takes with
    the runner `none`, `not_found` how long pools and jobs that were made are not found yet, `statistics` how
    many seconds apart those of pools and jobs are rolled up (0: always present), `disk` how many true seconds apart the
    nodes' disks are measured (0: never)."""

    allocation: Span = NONE
    boot: Span = NONE
    reboot: Span = NONE
    removal: Span = NONE
    restoration: Span = NONE
    loss: Span = NONE
    recovery: Span = NONE
    lateness: Span = NONE
    sample_delay: Span = NONE
    not_found: Span = NONE
    task: Span = (1.0, 1.0)
    statistics: float = 0.0
    disk: float = 0.0
    dedicated_cores: int | None = None
    family_cores: tuple[tuple[str, int], ...] = ()
    low_priority_cores: int | None = None
    pools: int | None = None
    jobs: int | None = None
    faults: NodeFaults = field(default_factory=NodeFaults)
    http: HttpFaults = field(default_factory=HttpFaults)

    def delay(self, what: str, random: Random) -> float:
        return random.uniform(*getattr(self, what))
