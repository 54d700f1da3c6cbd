"""The requests about Batch jobs."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from snakemake.azure.batch.connection import Connection
from snakemake.azure.batch.errors import BatchError

if TYPE_CHECKING:
    from azure.batch.models import BatchJob, BatchJobCreateOptions


class JobRequests(Connection):
    """https://learn.microsoft.com/rest/api/batchservice/jobs"""

    def create_job(self, job: "BatchJobCreateOptions") -> None:
        """As with pools, a job that exists is this run's."""

        def create() -> None:
            self._note_made(job.id)
            with self._forgiving("JobExists"), self._explained(f"create the Batch job {job.id}"):
                self.client.create_job(job)
            self._note_made(job.id)

        self._settled((job.pool_info.pool_id if job.pool_info else None) or "", create)

    def get_job(self, job_id: str) -> "BatchJob | None":
        """None if there is none."""
        try:
            with self._explained(f"look up the Batch job {job_id}"):
                return self.client.get_job(job_id)
        except BatchError as e:
            if e.status == 404:
                return None
            raise

    def list_jobs(self) -> list["BatchJob"]:
        """All Batch jobs of the account."""
        with self._explained("list the Batch jobs"):
            return list(self.client.list_jobs())

    def extend_job(self, job_id: str, longer: timedelta) -> None:
        """Lets the job end by itself after that time from now on, not before."""
        from azure.batch.models import BatchJobConstraints, BatchJobUpdateOptions

        job = self.get_job(job_id)
        if job is None or job.creation_time is None:
            return
        wall_clock = self.clock.now() - job.creation_time + longer
        with self._explained(f"extend the Batch job {job_id}"):
            self.client.update_job(
                job_id, BatchJobUpdateOptions(constraints=BatchJobConstraints(max_wall_clock_time=wall_clock))
            )

    def disable_job(self, job_id: str) -> None:
        """Lets none of its tasks begin any more; those that run go on. One that is disabled, or ended, is fine.

        https://learn.microsoft.com/rest/api/batchservice/jobs/disable-job
        """
        from azure.batch.models import BatchJobDisableOptions, DisableBatchJobOption

        options = BatchJobDisableOptions(disable_tasks=DisableBatchJobOption.WAIT)
        try:
            with self._explained(f"disable the Batch job {job_id}"):
                self.client.begin_disable_job(job_id, options, polling_interval=3600)
        except BatchError as e:
            if e.status not in (404, 409):
                raise

    def terminate_job(self, job_id: str) -> None:
        """Ends the job with the tasks that run; those that have ended stay, with their files. One that has ended, or is
        gone, is fine.

        https://learn.microsoft.com/rest/api/batchservice/jobs/terminate-job
        """
        # Without a body the SDK sends nothing; the class of it is not public.
        options: Any = {"terminateReason": "RunEnded"}
        try:
            with self._explained(f"end the Batch job {job_id}"):
                self.client.begin_terminate_job(job_id, options, polling_interval=3600)
        except BatchError as e:
            if e.status not in (404, 409):
                raise

    def delete_job(self, job_id: str) -> bool:
        """Starts the deletion of the job and its tasks; a job that is going is fine. False if there is none."""
        return self._delete(
            f"delete the job {job_id}",
            lambda: self.client.begin_delete_job(job_id, polling_interval=3600),
            "JobBeingDeleted",
        )
