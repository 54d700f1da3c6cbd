"""How jobs that are ready become tasks: each gets its place and its task, those with one pool are added to it together,
and those whose pool the region refuses, or whose pool gets no nodes, go elsewhere.

A pool is made for its first jobs. A job that may begin on Spot nodes has a place of its own, beside the same size
without Spot (`snakemake.azure.batch.placement`).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake.azure.batch.capacity import Kind, Trouble
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.batch.placement import Demand, Place
from snakemake.azure.batch.pool_queue import PoolQueue
from snakemake.azure.batch.run import BatchRun
from snakemake.azure.batch.tasks import Task
from snakemake.azure.batch.vm_sizes import DoesNotFit, UnknownVmSize
from snakemake.azure.settings import SettingsError
from snakemake.executors.azure_batch_ahead import LookAhead
from snakemake.executors.azure_batch_checks import Checked
from snakemake.executors.azure_batch_journal import RunJournal
from snakemake.executors.azure_batch_tasks import AzBatchJob, SpotRules, TaskMaker, demand


@dataclass(frozen=True)
class Submission:
    """A job that is about to be submitted, with its place and its task."""

    job: JobExecutorInterface
    place: Place
    task: Task


class Submitter:
    """Submits for `executor`, to which it reports. ahead: is told which job is which task; run: the Azure side, which
    is made when it is first asked for; journal: is told of pools."""

    def __init__(
        self,
        executor: RemoteExecutor,
        checked: Checked,
        task_maker: TaskMaker,
        ahead: LookAhead,
        run: Callable[[], BatchRun],
        journal: RunJournal,
    ) -> None:
        self._executor, self._checked, self._task_maker, self._ahead = executor, checked, task_maker, ahead
        self._run, self._journal = run, journal

    def submit(self, jobs: Iterable[JobExecutorInterface]) -> None:
        """Submits the jobs: grouped by pool, in collections of up to 100 tasks."""
        submissions = []
        for job in jobs:
            try:
                submissions.append(Submission(job, *self._task(job)))
            except (SettingsError, UnknownVmSize, DoesNotFit) as e:
                self._executor.report_job_error(AzBatchJob(job), msg=f"{e} ")
        self._submit_by_pool(submissions)

    def anew(self, job: AzBatchJob) -> tuple[PoolQueue, Task]:
        """Another task for the job, and where it goes: never among the tasks of another run, which may not write."""
        place, task = self._task(job.job, job.no_spot)
        return self._queue(place, task.slots), task

    def demand(self, job: JobExecutorInterface, no_spot: bool = False) -> tuple[Demand, int]:
        """What the job asks for, and how often it may begin on Spot nodes."""
        settings = self._checked.settings
        rules = SpotRules(settings.spot or 0, self._executor.workflow.remote_execution_settings)
        is_bound = no_spot or self._checked.placement.existing is not None
        tries = 0 if is_bound else rules.tries_of(job)
        return replace(demand(job), spot=tries > 0), tries

    def movable(
        self, key: str, trouble: Trouble, task_ids: Collection[str], active: Sequence[AzBatchJob]
    ) -> tuple[Collection[str], Collection[str]]:
        """Those of the tasks whose jobs, which are among `active`, may go to another pool than that one, which gets no
        nodes, and those that may not."""
        placement = self._checked.placement
        placement.close(key, whole_series=trouble.kind is Kind.SERIES_QUOTA)
        jobs = {job.external_jobid: job for job in active}
        known = [task_id for task_id in task_ids if task_id in jobs]
        movable = {
            task_id
            for task_id in known
            if placement.has_other(self.demand(jobs[task_id].job, jobs[task_id].no_spot)[0], key)
        }
        return movable, [task_id for task_id in known if task_id not in movable]

    def _task(self, job: JobExecutorInterface, no_spot: bool = False) -> tuple[Place, Task]:
        """The job's place, and a new task for it."""
        wanted, tries = self.demand(job, no_spot)
        place = self._checked.placement.take(wanted)
        return place, self._task_maker.task(job, wanted, place, tries)

    def _submit_by_pool(self, submissions: Iterable[Submission]) -> None:
        groups: dict[str, list[Submission]] = defaultdict(list)
        for one in submissions:
            groups[one.place.key].append(one)
        for members in groups.values():
            self._submit(members)

    def _submit(self, members: list[Submission]) -> None:
        """Adds the members, which have one pool, to it."""
        now = datetime.now(UTC)
        try:
            queue = self._queue(members[0].place, sum(member.task.slots for member in members))
            refused = self._run().submit(queue, [member.task for member in members])
        except WorkflowError as e:
            if isinstance(e, BatchError) and self._goes_elsewhere(members, e):
                return
            # Not one of these jobs is known to run, so the run ends here; the scheduler cancels and cleans up.
            raise WorkflowError(f"Submitting {len(members)} jobs failed: {e}") from None
        rejected = {r.task_id: r for r in refused}
        for member in members:
            info = AzBatchJob(member.job, external_jobid=member.task.id, queue=queue, submitted=now)
            if refusal := rejected.get(member.task.id):
                self._executor.report_job_error(
                    info, msg=f"Azure Batch did not take the task ({refusal.code}: {refusal.message}). "
                )
            else:
                self._ahead.begin(member.job, member.task.id, member.place)
                self._executor.report_job_submission(info)

    def _goes_elsewhere(self, members: list[Submission], refusal: BatchError) -> bool:
        """Sends the members to other sizes where the region does not have that of their pool, which is refused then."""
        placement, place = self._checked.placement, members[0].place
        if refusal.status != 400 or "vmsize" not in str(refusal).lower():
            return False
        if not all(placement.has_other(self.demand(m.job)[0], place.key) for m in members):
            return False
        placement.close(place.key, timedelta(days=1))
        self._executor.logger.warning(f"{refusal} {len(members)} jobs go to other sizes.")
        self._submit_by_pool([Submission(member.job, *self._task(member.job)) for member in members])
        return True

    def _queue(self, place: Place, slots: int) -> PoolQueue:
        """The queue of the place's pool, which is made for `slots` if it is not there yet."""
        placement, run = self._checked.placement, self._run()
        if existing := placement.existing:
            self._journal.pool(existing.id, place.vm, place.slots_per_node, own=False)
            return run.join_queue(place.key, existing.id)
        if queue := run.queues.get(place.key):
            return queue
        plan = placement.pool_plan(place, run.id, len(run.queues) + 1, self._checked.image)
        queue = run.open_queue(place.key, plan, nodes=plan.nodes_for(slots))
        self._journal.pool(queue.pool_id, place.vm, place.slots_per_node)
        return queue
