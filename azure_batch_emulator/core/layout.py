"""Where things are below a node's root directory.

https://learn.microsoft.com/azure/batch/files-and-directories; the jobs of a schedule, `SCHEDULE:job-N`, lie together.
https://learn.microsoft.com/azure/batch/batch-compute-node-environment-variables
"""


def job_directory(job_id: str) -> str:
    """What a job has on a node."""
    return "workitems/" + job_id.replace(":", "/")


def task_directory(job_id: str, task_id: str) -> str:
    below = job_directory(job_id)
    return f"{below}/{task_id}" if ":" in job_id else f"{below}/job-1/{task_id}"
