"""What a credential opens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..protocol.errors import BatchError

JOB_CLAIM = "batch_job"
"""The claim that names the only job that a token opens."""


@dataclass(frozen=True)
class Access:
    """All operations of the account, or only those on one job (its id) and its tasks."""

    job: str | None = None

    def check(self, segments: Sequence[str], parameters: Mapping[str, str]) -> None:
        """A BatchError unless an operation, by the segments of its path and their parameters, is among them."""
        if self.job is None:
            return
        if segments[0] != "jobs" or parameters.get("jobId", "").lower() != self.job.lower():
            raise BatchError(
                "InsufficientAccountPermissions",
                [("Reason", f"The token of the task is for the operations on the job '{self.job}' alone.")],
            )


EVERYTHING = Access()
