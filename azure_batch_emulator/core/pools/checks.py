"""In which state a pool has to be for what is asked of it."""

from ...protocol.errors import BatchError
from ..entities import Pool


def check_active(pool: Pool) -> None:
    if pool.state == "deleting":
        raise BatchError("PoolBeingDeleted")


def check_steady(pool: Pool) -> None:
    if pool.allocation.state != "steady":
        raise BatchError("PoolBeingResized")
