"""Options that need no request to be checked."""

import math

from snakemake.azure import named_pools, pool_settings
from snakemake.azure.batch import ids, size_lists, vm_sizes
from snakemake.azure.batch.lease import LEAST, MOST
from snakemake.azure.batch.prices import read_file
from snakemake.azure.options import check_bounds
from snakemake.azure.report.target import check_target
from snakemake.azure.settings import ExecutorSettings, SettingsError, endpoint

ON_EXIT = ("delete", "detach")
PROGRESS = ("auto", "live", "lines", "none")

# https://learn.microsoft.com/azure/batch/batch-quota-limit
MAX_TASK_RETRIES = 100


def validate(settings: ExecutorSettings) -> None:
    """Checks the options that need no request.

    Raises
    ------
    SettingsError: with one sentence on the first option that is missing or wrong.
    """
    if not settings.account_url:
        raise SettingsError(
            "The URL of the Batch account is missing: give --az-batch-account-url "
            "https://ACCOUNT.REGION.batch.azure.com (or 'emulator'), or set AZ_BATCH_ACCOUNT_URL."
        )
    endpoint(settings.account_url)
    try:
        sizes = size_lists.sizes(settings.vm_size or size_lists.AUTO) or size_lists.auto()
    except vm_sizes.UnknownVmSize as e:
        option = named_pools.OPTION if settings.pools else "--az-batch-vm-size"
        raise SettingsError(f"{e} Set {option}.") from None
    largest = max(sizes, key=vm_sizes.most_slots)
    most = vm_sizes.most_slots(largest)
    check_bounds(settings.slots_per_node, 1, most, "slots-per-node", f"Batch allows on {largest.name}")
    check_bounds(settings.nodes, 1, None, "nodes", "give")
    for pool in named_pools.read(settings.pools):
        size = vm_sizes.vm_size(pool.vm_size)
        name = f"pools {size.name},slots-per-node"
        check_bounds(pool.slots_per_node, 1, vm_sizes.most_slots(size), name, f"Batch allows on {size.name}")
    check_bounds(settings.spot, 0, MAX_TASK_RETRIES, "spot", "give")
    check_bounds(settings.spot_wait, 0, None, "spot-wait", "give")
    if settings.spot and settings.autoscale is not None:
        raise SettingsError(
            "--az-batch-autoscale lets the service ask for dedicated nodes alone: leave it out, or --az-batch-spot."
        )
    _check_max_cost(settings)
    if settings.prices:
        read_file(settings.prices)
    check_bounds(settings.task_retries, -1, MAX_TASK_RETRIES, "task-retries", "give")
    check_bounds(settings.infra_retries, 0, MAX_TASK_RETRIES, "infra-retries", "give")
    check_bounds(settings.node_timeout, 1, None, "node-timeout", "give")
    if not math.isfinite(settings.patience):
        raise SettingsError(
            f"--az-batch-patience {settings.patience} is no number of minutes: give 0 or more."
        )
    check_bounds(settings.patience, 0, None, "patience", "give")
    check_bounds(settings.task_timeout, 0, None, "task-timeout", "give")
    check_bounds(settings.sas_hours, 1, None, "sas-hours", "give")
    check_bounds(settings.lease, LEAST, MOST, "lease", "give")
    if settings.on_exit not in ON_EXIT:
        raise SettingsError(
            f"--az-batch-on-exit {settings.on_exit} is none of the choices: give {' or '.join(ON_EXIT)}."
        )
    if settings.progress not in PROGRESS:
        raise SettingsError(
            f"--az-batch-progress {settings.progress} is none of the choices: give {', '.join(PROGRESS[:-1])} or "
            f"{PROGRESS[-1]}."
        )
    if settings.pool_id is not None and not ids.is_valid(settings.pool_id):
        raise SettingsError(
            f"--az-batch-pool-id {settings.pool_id!r} is not an id of a pool: Batch allows 1 to 64 letters, "
            "digits, hyphens and underscores."
        )
    if settings.os_image is not None and len(settings.os_image.split(":")) not in (3, 4):
        raise SettingsError(
            f"--az-batch-os-image {settings.os_image} is malformed: give PUBLISHER:OFFER:SKU or "
            "PUBLISHER:OFFER:SKU:VERSION."
        )
    if settings.report is not None:
        check_target(settings.report)
    pool_settings.validate(settings)


def _check_max_cost(settings: ExecutorSettings) -> None:
    most = settings.max_cost
    if most is None:
        return
    if not (math.isfinite(most) and most > 0):
        raise SettingsError(f"--az-batch-max-cost {most:g} is no amount: give a number above 0.")
    for name, given, why in (
        ("pool-id", settings.pool_id, "that pool is not the run's to size"),
        ("autoscale", settings.autoscale, "there the service sizes the pools"),
        ("keep-pool", settings.keep_pool, "nodes that are kept after the run cost more"),
    ):
        if given:
            raise SettingsError(
                f"--az-batch-max-cost cannot be held with --az-batch-{name}, as {why}: leave one of them out."
            )
