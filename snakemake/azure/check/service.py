"""What can be tried without a node: accounts and logins, quotas, images, storage, and whether Batch takes the pool,
the job and the tasks of a run. The pool has no nodes, so nothing costs money; what is made is deleted, also on Ctrl-C.
"""

import os
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure import pool_options, retry
from snakemake.azure.batch import ids, quotas
from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.lease import INTERVALS, Size, formula
from snakemake.azure.batch.os_images import OsImages
from snakemake.azure.batch.placement import Place, Placement
from snakemake.azure.batch.pool_definition import PoolDefinition
from snakemake.azure.batch.resource_manager import subscription_of
from snakemake.azure.batch.resources import JOB, POOL, Resources
from snakemake.azure.batch.tasks import Task
from snakemake.azure.blob.errors import explained
from snakemake.azure.blob.node_access import NodeAccess, Use
from snakemake.azure.blob.service import connect
from snakemake.azure.check.steps import Steps
from snakemake.azure.node.order import NodeOrder
from snakemake.azure.preflight.account import existing_pool, os_images
from snakemake.azure.preflight.image import check_image
from snakemake.azure.preflight.storage import check_blob_access
from snakemake.azure.settings import ExecutorSettings
from snakemake.azure.signals import uninterrupted
from snakemake.azure.wire import lower

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount

CONTENT = b"snakemake --az-batch-check\n"


@dataclass(frozen=True)
class Given:
    """What the command line says: options that hold, both accounts, `CONTAINER[/PATH]` of the files, and the image."""

    settings: ExecutorSettings
    account: BatchAccount
    blobs: "BlobAccount"
    prefix: str
    image: str


def check(given: Given, steps: Steps, warn: Callable[[str], None]) -> None:
    """Goes through the steps; none of them raises a WorkflowError."""
    identities = pool_options.identities(given.settings)
    subscription = subscription_of(identities, given.settings.subscription_id, os.environ)
    batch = Batch(given.account, subscription=subscription)
    run_id = ids.run_id("check", datetime.now(UTC), random.SystemRandom())
    made = Resources(retry.process, warn, lambda _: None)
    try:
        _Check(given, steps, warn, batch, run_id, made).all()
    finally:
        with uninterrupted():
            list(made.delete_all())
        batch.close()


@dataclass
class _Check:
    given: Given
    steps: Steps
    warn: Callable[[str], None]
    batch: Batch
    run_id: str
    made: Resources

    @cached_property
    def definition(self) -> PoolDefinition:
        given = self.given
        return pool_options.definition(given.settings, given.image, given.blobs, os.environ)

    def all(self) -> None:
        do, given = self.steps.do, self.given
        images = do("Batch account", self._images)
        placement = do("size and OS image", lambda: self._placement(images), images)
        do("quotas", lambda: self._quotas(placement), placement)
        image = do("container image", self._image)
        storage = do("storage: list", self._list)
        do("storage: write, read", self._write, storage)
        do("storage: SAS of tasks", self._sas, storage)
        if given.settings.pool_id is None:
            pool = do("pool (without nodes)", lambda: self._pool(placement, image), placement, image)
        else:
            pool = given.settings.pool_id if placement is not None else None
        do("job and task", lambda: self._task(placement, pool, image), pool, image)

    def _images(self) -> tuple[OsImages, str]:
        images = os_images(self.batch, self.given.settings, datetime.now(UTC))
        how = "a login (Entra ID)" if self.given.account.key is None else "the account's key"
        return images, f"{self.given.account.name} at {self.given.account.endpoint} takes {how}"

    def _placement(self, images: Any) -> tuple[Placement, str]:
        settings = self.given.settings
        placement = Placement(settings, images, existing_pool(self.batch, settings))
        placement.definition = self.definition
        pool_options.check(settings, placement.definition, self.given.account)
        if placement.existing:
            return (
                placement,
                f"those of the pool {placement.existing.id}, which has nodes of {placement.existing.vm.name}",
            )
        vm = placement.default_place().vm
        return placement, f"{vm.name} with {images.for_vm(vm).name}"

    def _quotas(self, placement: Any) -> tuple[bool, str]:
        pools, jobs = self.batch.list_pools(), self.batch.list_jobs()
        active = sum(lower(job.state) != "completed" for job in jobs)
        there = f"{len(pools)} pools and {active} active jobs in the account"
        if self.given.account.key is not None:
            return (
                True,
                f"{there}; how many it may have, and of how many cores, is told to logins only (az login)",
            )
        found = quotas.find(self.given.account)
        if found is None:
            return True, f"{there}; this login may not ask Azure Resource Manager about the account's quotas"
        size = placement.default_place().vm
        nodes = 1 if placement.existing is None else 0
        if problem := found.problem(size, nodes, len(pools) + nodes, active + 1):
            raise WorkflowError(problem)
        return True, f"{there}; {found.summary(size)}"

    def _image(self) -> tuple[str, str]:
        given = self.given
        pinned, _ = check_image(
            given.settings, given.image, given.account.endpoint, registry=self.definition.registry
        )
        if pinned == given.image:
            return pinned, f"{given.image}: not asked for at a registry"
        return pinned, pinned

    def _list(self) -> tuple[bool, str]:
        check_blob_access(self.given.blobs, self.given.prefix)
        return True, f"az://{self.given.prefix} in {self.given.blobs.url}, by {self.given.blobs.kind}"

    def _write(self) -> tuple[bool, str]:
        """Stores, reads and deletes a small blob."""
        container, _, path = self.given.prefix.partition("/")
        name = "/".join(filter(None, (path, f"az-batch-check-{uuid.uuid4().hex[:8]}.txt")))
        with (
            connect(self.given.blobs) as service,
            explained(self.given.blobs, f"az://{container}/{name}"),
        ):
            place = service.get_container_client(container)
            fresh = not place.exists()
            if fresh:
                place.create_container()
            blob = place.get_blob_client(name)
            self.made.add(
                "blob", f"az://{container}/{name}", lambda: _delete(self.given.blobs, container, name)
            )
            blob.upload_blob(CONTENT, overwrite=True)
            back = blob.download_blob().readall()
            blob.delete_blob()
        if back != CONTENT:
            raise WorkflowError(f"az://{container}/{name} was read, and is not what was written.")
        return True, f"and delete; made the container {container}, which stays" if fresh else "and delete"

    def _sas(self) -> tuple[bool, str]:
        """Makes and tries what tasks are given."""
        container = self.given.prefix.partition("/")[0]
        access = NodeAccess(
            self.run_id,
            [Use(self.given.blobs, lambda: {container: True})],
            now=lambda: datetime.now(UTC),
            lifetime=timedelta(hours=self.given.settings.sas_hours),
            warn=self.warn,
        )
        self.made.add("stored access policy", self.run_id, access.revoke)
        access.environment()
        if self.given.blobs.sas:
            return True, "the SAS of the account's URL is passed on as it is"
        how = "made from the account's key" if self.given.blobs.key else "a user delegation SAS"
        return True, f"{how}: lists, writes and deletes in {container}"

    def _pool(self, placement: Any, image: Any) -> tuple[str, str]:
        place: Place = placement.default_place()
        plan = placement.pool_plan(place, self.run_id, 1, image)
        self.made.add(POOL, plan.id, lambda: self.batch.delete_pool(plan.id))
        self.batch.create_pool(
            plan.options(formula(Size(0), self.batch.clock.now()), INTERVALS[0]), plan.definition.identities
        )
        self.batch.get_pool(plan.id)
        return plan.id, f"Batch takes the run's pool: {plan.vm_size}, {plan.slots} task slots per node"

    def _task(self, placement: Any, pool: Any, image: Any) -> tuple[bool, str]:
        """On a pool that is there already the job is disabled at once, and the task never runs."""
        from azure.batch import models

        job_id = f"{self.run_id}-1"
        self.made.add(JOB, job_id, lambda: self.batch.delete_job(job_id))
        self.batch.create_job(
            models.BatchJobCreateOptions(id=job_id, pool_info=models.BatchPoolInfo(pool_id=pool))
        )
        if placement.existing:
            return True, f"Batch takes a job on the pool {pool}"
        order = NodeOrder((), f"{self.given.prefix}/none", "", "")
        task = Task("check", "check", order, placement.default_place().slots)
        if rejected := self.batch.add_tasks(job_id, [task.body(image)]):
            raise BatchError(
                f"Azure Batch did not take the task ({rejected[0].code}: {rejected[0].message}).",
                rejected[0].code,
            )
        return True, "Batch takes a job and a task in a container"


def _delete(account: "BlobAccount", container: str, name: str) -> bool:
    from azure.core.exceptions import ResourceNotFoundError

    with connect(account) as service, explained(account, f"az://{container}/{name}"):
        try:
            service.get_blob_client(container, name).delete_blob()
        except ResourceNotFoundError:
            return False
    return True
