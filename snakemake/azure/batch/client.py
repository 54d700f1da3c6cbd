"""The one door to the Batch service: every request of a run goes through `Batch`.

The SDK's pipeline tries again what time may heal (`snakemake.azure.retry`), POST requests too, as each of those here
can be repeated: what a request made whose answer was lost is found to be there. For some moments the service may not
know what it has just made, which is waited out as well. What remains becomes a `BatchError`: one sentence, the
service's code, the option that helps, no secret.
"""

from snakemake.azure.batch.job_requests import JobRequests
from snakemake.azure.batch.pool_requests import PoolRequests
from snakemake.azure.batch.task_requests import TaskRequests


class Batch(PoolRequests, JobRequests, TaskRequests):
    """The requests that a run makes to its Batch account."""
