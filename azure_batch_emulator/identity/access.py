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
    by_key: bool = False
    """Whether it is the account's key, and no token of anybody's."""

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

    def check_body(self, operation: str, body: Mapping) -> None:
        """A BatchError for a pool in somebody's network, or of somebody's image, unless a token says who asks for it:
        reported, https://github.com/Azure/aztk/pull/240 and https://github.com/MicrosoftDocs/azure-docs/issues/51092.
        """
        if not self.by_key or operation not in ("create_pool", "update_pool"):
            return
        image = body.get("virtualMachineConfiguration", {}).get("imageReference", {})
        linked = [
            kind
            for kind, there in (
                ("Network", "subnetId" in body.get("networkConfiguration", {})),
                ("Compute", {"virtualMachineImageId", "sharedGalleryImageId"} & image.keys()),
            )
            if there
        ]
        if linked:
            detail = (
                "The specified type of authentication SharedKey is not allowed when external resources of type "
                f"{linked[0]} are linked."
            )
            raise BatchError("AuthenticationFailed", [("AuthenticationErrorDetail", detail)])


WITH_KEY = Access(by_key=True)
