"""The one door to the Batch service: every request of a run goes through `Batch`.

It is a `connection` with the requests about pools and their nodes (`pool_requests`), Batch jobs (`job_requests`) and
tasks (`task_requests`). They are one object, not three, since those who ask cross from one to the other: a lease scales
a pool and extends its Batch job. What fails, fails with a `BatchError` (`errors`).
"""

from snakemake.azure.batch.job_requests import JobRequests
from snakemake.azure.batch.pool_requests import PoolRequests
from snakemake.azure.batch.task_requests import TaskRequests


class Batch(PoolRequests, JobRequests, TaskRequests):
    """The requests that a run makes to its Batch account."""
