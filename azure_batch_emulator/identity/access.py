"""What a credential opens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..protocol.errors import BatchError
from . import roles

JOB_CLAIM = "batch_job"
"""The claim that names the only job that a token opens."""


@dataclass(frozen=True)
class Access:
    """The operations of the account that a role opens, or only those on one job (its id) and its tasks."""

    job: str | None = None
    role: str = roles.WHOLE

    def check(self, method: str, segments: Sequence[str], parameters: Mapping[str, str]) -> None:
        """A BatchError unless an operation, by its method, the segments of its path and their parameters, is among
        them."""
        if self.job is None:
            action = roles.action_of(method, tuple(segments))
            if not roles.allows(self.role, action):
                raise BatchError(
                    "InsufficientAccountPermissions",
                    [("Reason", f"The role '{self.role}' does not allow to perform the action '{action}'.")],
                )
            return
        self._check_job(segments, parameters)

    def check_control(self) -> None:
        """A BatchError for the token of a task, which has no part in what the emulator's user does to the service."""
        if self.job is not None:
            self._check_job(("-",), {})

    def _check_job(self, segments: Sequence[str], parameters: Mapping[str, str]) -> None:
        assert self.job is not None
        if segments[0] != "jobs" or parameters.get("jobId", "").lower() != self.job.lower():
            raise BatchError(
                "InsufficientAccountPermissions",
                [("Reason", f"The token of the task is for the operations on the job '{self.job}' alone.")],
            )


EVERYTHING = Access()
