"""What the Batch account tells before a run: its images and quotas, the pool that is to be used, and what nodes cost in
its region."""

import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from snakemake.azure import pool_settings
from snakemake.azure.batch import quotas, size_lists, vm_sizes
from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.os_images import OsImages
from snakemake.azure.batch.placement import ExistingPool
from snakemake.azure.batch.pools import PoolError
from snakemake.azure.batch.prices import Cache, Prices, built_in, look_up, read_file
from snakemake.azure.batch.quotas import Quotas
from snakemake.azure.settings import ExecutorSettings
from snakemake.azure.wire import lower


def os_images(batch: Batch, settings: ExecutorSettings, now: datetime) -> OsImages:
    """Asks the service for its images. The first request of a run: it also checks account and credential. Whoever may
    use a pool need not be allowed to ask, and a pool that exists has its image."""
    if settings.pool_id is not None:
        return OsImages((), now, None)
    return OsImages(tuple(batch.supported_images()), now, settings.os_image)


def prices(settings: ExecutorSettings, endpoint: str) -> Prices:
    """What nodes cost in the account's region, by the user's file where there is one. Prices of sizes that only rules
    name are not asked for."""
    given = read_file(settings.prices) if settings.prices else None
    if settings.pool_id is not None:
        return built_in()
    from snakemake.common import get_appdirs

    named = size_lists.sizes(settings.vm_size or size_lists.AUTO)
    sizes = {vm.name for vm in (*named, *size_lists.auto(), *size_lists.auto(gpu=True))}
    cache = Cache(Path(get_appdirs().user_cache_dir) / "azure-batch")
    known = look_up(endpoint, sizes, cache)
    return given.over(known) if given else known


def quotas_of(account: BatchAccount, patience: float = 10.0) -> Quotas | None:
    """What the account may have, where a login is used that may ask for it; waited for no longer than `patience`
    seconds.

    With the account's key alone, quotas are not told before nodes are asked for.
    """
    if account.key is not None:
        return None
    found: list[Quotas | None] = []

    def ask() -> None:
        with suppress(Exception):  # it only helps
            found.append(quotas.find(account))

    thread = threading.Thread(target=ask, name="az-batch-quotas", daemon=True)
    thread.start()
    thread.join(patience)
    return found[0] if found else None


def existing_pool(batch: Batch, settings: ExecutorSettings) -> ExistingPool | None:
    """The pool of --az-batch-pool-id, checked to be one that can run containers."""
    if settings.pool_id is None:
        return None
    try:
        pool = batch.get_pool(settings.pool_id)
    except BatchError as e:
        if e.status == 404:
            raise PoolError(
                f"There is no pool {settings.pool_id} in the Batch account {batch.account.name}: correct "
                "--az-batch-pool-id, or leave it out to have a pool made."
            ) from None
        raise
    if lower(pool.state) != "active":
        raise PoolError(
            f"The pool {settings.pool_id} is being deleted: set --az-batch-pool-id to another one."
        )
    configuration = pool.virtual_machine_configuration
    if configuration is None or configuration.container_configuration is None:
        raise PoolError(
            f"The pool {settings.pool_id} has no container configuration, so its nodes cannot run the image: set "
            "--az-batch-pool-id to a pool made with one, or leave it out."
        )
    try:
        vm = vm_sizes.vm_size(pool.vm_size)
    except vm_sizes.UnknownVmSize:
        raise PoolError(
            f"The pool {settings.pool_id} has nodes of size {pool.vm_size}, whose vCPUs are not known here: set "
            "--az-batch-pool-id to a pool of another size, or leave it out."
        ) from None
    _check_user(settings, pool)
    return ExistingPool(pool.id, vm, pool.task_slots_per_node or 1)


def _check_user(settings: ExecutorSettings, pool: Any) -> None:
    """A user of its own name has to be one of the pool's."""
    name = pool_settings.user_parts(settings.user)[0] if settings.user else "root"
    known = [account.name for account in pool.user_accounts or []]
    if name != "root" and name not in known:
        has = f"its own are {', '.join(known)}" if known else "it has none of its own"
        raise PoolError(
            f"The pool {pool.id} has no user {name} ({has}): correct --az-batch-user, or leave it out for Batch's user."
        )
