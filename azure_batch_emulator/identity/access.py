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
    by_key: bool = False
    """Whether it is the account's key, and no token of anybody's."""
    only_jobs: bool = False
    """Whether it is a token of somebody who has the role Azure Batch Job Submitter alone."""

    def check(self, segments: Sequence[str], parameters: Mapping[str, str]) -> None:
        """A BatchError unless an operation, by the segments of its path and their parameters, is among them."""
        if self.job is None:
            return
        if segments[0] != "jobs" or parameters.get("jobId", "").lower() != self.job.lower():
            raise BatchError(
                "InsufficientAccountPermissions",
                [("Reason", f"The token of the task is for the operations on the job '{self.job}' alone.")],
            )

    def check_role(self, method: str, segments: Sequence[str]) -> None:
        """A BatchError for what Azure Batch Job Submitter may not do: all but jobs, job schedules, and looks at pools
        and applications. https://learn.microsoft.com/azure/batch/batch-role-based-access-control
        """
        if not self.only_jobs or segments[0] in ("jobs", "jobschedules"):
            return
        if method not in ("GET", "HEAD") or segments[0] not in ("pools", "applications"):
            raise BatchError(
                "InsufficientAccountPermissions",
                [("Reason", f"The role does not allow {method} on {'/'.join(segments)}.")],
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


EVERYTHING = Access()
WITH_KEY = Access(by_key=True)
