"""What is checked, looked up and packed before a run creates anything in Azure: what can be wrong is found here."""

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake.azure import parsing, preflight, retry
from snakemake.azure.batch import ids
from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.placement import Placement
from snakemake.azure.settings import ExecutorSettings, resolve
from snakemake.azure.sources import SourceArchive

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount
    from snakemake.azure.blob.storage import StorageProvider


@dataclass(frozen=True)
class Checked:
    """What a run goes by: options that hold, accounts that answer, the workflow's files in one archive.

    source_prefix: `CONTAINER[/PATH]` that the archive goes below; output_cache: variables for the tasks, see
    `preflight.output_cache`; tagged_storage: further storage providers of the workflow, by tag.
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
    preflight.validate(settings)
    retry.process.seconds = settings.patience * 60
    image = preflight.container_image(settings, workflow.remote_execution_settings.container_image)
    account = BatchAccount.resolve(settings)
    batch = Batch(account)
    blob_account, source_prefix = preflight.blob_storage(
        workflow.storage_registry.default_storage_provider, workflow.storage_settings.default_storage_prefix
    )
    output_cache = preflight.output_cache(workflow.workflow_settings.cache, os.environ)
    sources = _pack_sources(workflow, logger)
    now = datetime.now(UTC)
    os_images = preflight.os_images(batch, settings, now)
    prices = preflight.prices(settings, account.endpoint)
    placement = Placement(settings, os_images, preflight.existing_pool(batch, settings), prices)
    placement.check_images()
    preflight.check_blob_access(blob_account, source_prefix)
    if (pinned := preflight.check_image(settings, image, account.endpoint)) != image:
        logger.info(f"Azure Batch: all tasks run in {pinned}, which is what {image} stands for now.")
    tagged = preflight.tagged_storage(workflow.storage_registry._storages)
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


def _pack_sources(workflow: Any, logger: Any) -> SourceArchive:
    """The workflow's sources, with the files that it has opened and the modules that it has imported, in a repository
    or not. What it looked at and tasks will not have is named."""
    looks, workdir = parsing.stop(), Path.cwd()
    local_copies = workflow.storage_settings.local_storage_prefix
    snakefiles = [str(file.get_path_or_uri(secret_free=True)) for file in workflow.included]
    seen = [*looks.opened, *parsing.imported_modules(), *parsing.modules_beside(snakefiles)]
    files = parsing.files_below(seen, workdir, [local_copies])
    archive = preflight.pack_sources([*workflow.dag.get_sources(), *files], workdir, logger.warning)
    for kind, names in (
        ("opened the file", parsing.files_elsewhere(looks.opened, workdir)),
        ("listed the folder", parsing.folders_not_sent(looks.listed, workdir, archive.names)),
    ):
        for name in names[:3]:
            logger.warning(
                f"While it was read, the workflow {kind} {name}, which tasks do not have: a task that finds something "
                "else there than snakemake has found here may fail, or make something else. Keep such files among "
                "the workflow's sources, or in storage (glob_wildcards(storage(...)))."
            )
    return archive
