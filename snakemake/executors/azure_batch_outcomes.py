"""What a verdict on a task means for its job: success, or an error with the end of the task's stderr."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.azure.batch import task_logs
from snakemake.azure.batch.monitor import Verdict
from snakemake.azure.batch.run import BatchRun, PoolQueue

KILLED = 137
"""128 + SIGKILL: what a container ends with whose memory ran out, and a shell whose command was killed."""


def asked_memory(job: Any) -> str:
    """What the job, or its group, has asked for, in a clause."""
    asked = job.resources.get("mem_mb")
    return f"it has asked for mem_mb={asked}" if isinstance(asked, int) else "it has asked for no mem_mb"


class Verdicts:
    """Verdicts that wait for their jobs: a task may end before its job is among the active ones."""

    def __init__(self) -> None:
        self._waiting: dict[str, Verdict] = {}

    def add(self, verdicts: Iterable[Verdict]) -> None:
        self._waiting.update((verdict.task_id, verdict) for verdict in verdicts)

    def take(self, task_id: str) -> Verdict | None:
        return self._waiting.pop(task_id, None)


@dataclass(frozen=True)
class Failure:
    """Why a job failed, for people, and the logs that were saved."""

    message: str
    logs: list[str]

    @classmethod
    def of(
        cls, run: BatchRun, queue: PoolQueue, verdict: Verdict, home: Path, logs_are_shown: bool, memory: str
    ) -> "Failure":
        """Saves the task's logs below `home`; with `logs_are_shown` Snakemake prints them whole. `memory` says what the
        job has asked for."""
        logs = task_logs.fetch(run, queue, verdict.task_id, home)
        shown = logs_are_shown and "stderr.txt" in logs
        reason = verdict.reason
        if verdict.exit_code == KILLED or task_logs.says_killed(logs):
            reason += (
                f" It was killed, most likely because its memory was not enough (exit code {KILLED}): {memory}; raise "
                "the rule's resource mem_mb, with attempt in it and --retries to do so by itself."
            )
        return cls(
            f"{reason} {'' if shown else task_logs.excerpt(logs)}",
            [str(path) for path in logs.values()],
        )
