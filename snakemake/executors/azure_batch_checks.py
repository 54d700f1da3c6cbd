"""What is checked, looked up and packed before a run creates anything in Azure: what can be wrong is found here."""

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake.azure import pool_options, retry
from snakemake.azure.batch import ids
from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.placement import Demand, Placement
from snakemake.azure.batch.resource_manager import subscription_of
from snakemake.azure.preflight import account as batch_account
from snakemake.azure.preflight import storage
from snakemake.azure.preflight.image import check_image, container_image
from snakemake.azure.preflight.options import validate
from snakemake.azure.settings import ExecutorSettings, resolve
from snakemake.azure.sources import SourceArchive
from snakemake.executors.azure_batch_images import JobImages
from snakemake.executors.azure_batch_needs import needs
from snakemake.executors.azure_batch_sources import pack_sources

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount
    from snakemake.azure.blob.storage import StorageProvider


@dataclass(frozen=True)
class Checked:
    """What a run goes by: options that hold, accounts that answer, the workflow's files in one archive.

    source_prefix: `CONTAINER[/PATH]` that the archive goes below; output_cache: variables for the tasks, see
    `preflight.storage.output_cache`; tagged_storage: further storage providers of the workflow, by tag.
    """

    settings: ExecutorSettings
    image: str
    batch: Batch
    blob_account: "BlobAccount"
    source_prefix: str
    sources: SourceArchive
    output_cache: Mapping[str, str]
    tagged_storage: "Mapping[str, StorageProvider]"
    placement: Placement
    run_id: str


def check(workflow: Any, given: ExecutorSettings | None, logger: Any) -> Checked:
    """Checks all that can be wrong with `workflow` (Snakemake's) and the options, and creates nothing.

    Raises
    ------
    WorkflowError: one sentence that names the option, variable or rule to change.
    """
    settings = resolve(given or ExecutorSettings())
    validate(settings)
    retry.process.seconds = settings.patience * 60
    image = container_image(settings, workflow.remote_execution_settings.container_image)
    account = BatchAccount.resolve(settings)
    identities = pool_options.identities(settings)
    batch = Batch(account, subscription=subscription_of(identities, settings.subscription_id, os.environ))
    blob_account, source_prefix = storage.blob_storage(
        workflow.storage_registry.default_storage_provider, workflow.storage_settings.default_storage_prefix
    )
    images = JobImages.of_run(workflow, settings)
    output_cache = storage.output_cache(workflow.workflow_settings.cache, os.environ)
    sources = pack_sources(workflow, logger.warning)
    now = datetime.now(UTC)
    os_images = batch_account.os_images(batch, settings, now)
    prices = batch_account.prices(settings, account.endpoint)
    placement = Placement(settings, os_images, batch_account.existing_pool(batch, settings), prices)
    storage.check_blob_access(blob_account, source_prefix)
    placement.definition = pool_options.definition(settings, image, blob_account, os.environ)
    pool_options.check(settings, placement.definition, account)
    if identities:
        batch.find_account()
    pinned, placement.architectures = check_image(
        settings,
        image,
        account.endpoint,
        lambda: needs(workflow, images.without_own(workflow.dag, workflow.dag.needrun_jobs())),
        logger.warning,
        placement.definition.registry,
    )
    placement.check_images()
    placement.quotas = batch_account.quotas_of(account) if placement.existing is None else None
    placement.check_quotas()
    for name in _sizes_asked_for(workflow):
        placement.candidates(Demand(threads=1, vm_size=name))
    if pinned != image:
        logger.info(f"Azure Batch: all tasks run in {pinned}, which is what {image} stands for now.")
    tagged = storage.tagged_storage(workflow.storage_registry._storages)
    for storage_account in [blob_account, *(provider.store.account for provider in tagged.values())]:
        if warning := storage_account.expiry_warning(now):
            logger.warning(warning)
    return Checked(
        settings=settings,
        image=pinned,
        batch=batch,
        blob_account=blob_account,
        source_prefix=source_prefix,
        sources=sources,
        output_cache=output_cache,
        tagged_storage=tagged,
        placement=placement,
        run_id=ids.run_id(Path.cwd().name, now, random.SystemRandom()),
    )


def _sizes_asked_for(workflow: Any) -> set[str]:
    """The VM sizes that rules of jobs which are to run name outright."""
    given = [rule.resources.get("az_vm_size") for rule in {job.rule for job in workflow.dag.needrun_jobs()}]
    return {str(size.value) for size in given if size is not None and not size.is_evaluable() and size.value}
