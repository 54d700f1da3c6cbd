"""The peer in the benchmark: has stock Snakemake format a job's shell command as it does for any remote executor
without a shared file system, and hands it to the benchmark, which runs it.

The command deploys the sources and then runs the job. Only the `pip install` of the storage plugins, which comes
before both, is left out; it would make each job slower by seconds. `run_job` returns when the benchmark has written
to the pipe that it waits for, and then the job counts as done: until then the sources are in storage.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=True,
    job_deploy_sources=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
)


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    order: str = field(
        default="", metadata={"help": "File to write the job's command and environment to, as JSON."}
    )
    pipe: str = field(default="", metadata={"help": "Named pipe to read before the job counts as done."})


class Executor(RemoteExecutor):
    def run_job(self, job):
        settings = self.workflow.executor_settings
        order = Path(settings.order)
        partial = order.with_suffix(".partial")
        partial.write_text(
            json.dumps({"command": self.format_job_exec(job), "environment": dict(self.envvars())})
        )
        partial.rename(order)
        Path(settings.pipe).read_bytes()
        self.report_job_submission(SubmittedJobInfo(job))

    async def check_active_jobs(self, active_jobs):
        for info in active_jobs:
            self.report_job_success(info)
        return
        yield

    def cancel_jobs(self, active_jobs):
        pass
