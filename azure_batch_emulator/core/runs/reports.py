"""What nodes report of runs: that a command has started, and that it is over."""

from ..entities import Ended, Failed
from ..machine import Machine
from ..tasks import outcomes
from . import attempts, instances, start_preparation_release
from .killing import task_run_ended


def running(m: Machine, run_id: str) -> None:
    """The engine has started the command."""
    run = m.runs.get(run_id)
    if run is None or run.phase != "launching":
        return
    run.enter("running")
    instances.running(m, run)
    job = m.jobs.get(run.job or "")
    if job is not None and run.task is not None and run.task.state == "preparing":
        outcomes.move(job, run.task, "running", m.now)


def exited(m: Machine, run_id: str, ended: Ended) -> None:
    """The engine reports that a run is over. A failure means that the command could not be started."""
    run = m.runs.get(run_id)
    if run is None or run.phase == "uploading":
        return
    if run.kind == "task":
        task_run_ended(m, run, ended)
    else:
        start_preparation_release.exited(m, run, ended)


def uploaded(m: Machine, run_id: str, failure: Failed | None) -> None:
    """The engine has uploaded a task's output files, or failed to."""
    run = m.runs.get(run_id)
    if run is not None and run.phase == "uploading":
        attempts.upload_over(m, run, failure)
