"""Roles for Batch: what those who sign in to the tenant may do.

Role assignments count for tokens alone; who has the account's key may do everything.
https://learn.microsoft.com/azure/batch/batch-role-based-access-control
"""

import re
import threading
from collections.abc import Mapping

from . import directory

_BATCH = "Microsoft.Batch"
_JOBS = (f"{_BATCH}/batchAccounts/jobs/*", f"{_BATCH}/batchAccounts/jobSchedules/*")
ROLES: Mapping[str, tuple[str, ...]] = {
    "Azure Batch Account Contributor": (f"{_BATCH}/*",),
    "Azure Batch Account Reader": (f"{_BATCH}/*/read",),
    "Azure Batch Data Contributor": (
        f"{_BATCH}/batchAccounts/read",
        f"{_BATCH}/batchAccounts/applications/*",
        f"{_BATCH}/batchAccounts/pools/*",
        f"{_BATCH}/batchAccounts/poolOperationResults/*",
        f"{_BATCH}/locations/*/read",
        *_JOBS,
    ),
    "Azure Batch Job Submitter": (
        f"{_BATCH}/batchAccounts/applications/read",
        f"{_BATCH}/batchAccounts/applications/versions/read",
        f"{_BATCH}/batchAccounts/pools/read",
        *_JOBS,
    ),
    # Control actions alone: it sees the account and its pools, and no job.
    "Reader": (
        f"{_BATCH}/batchAccounts/read",
        f"{_BATCH}/batchAccounts/applications/*/read",
        f"{_BATCH}/batchAccounts/applications/read",
        f"{_BATCH}/batchAccounts/pools/read",
        f"{_BATCH}/batchAccounts/poolOperationResults/read",
        f"{_BATCH}/locations/*/read",
    ),
    "none": (),
}
"""By name, the actions that a role opens; `none` stands for a principal without any role."""

WHOLE = "Azure Batch Account Contributor"
_READING = ("GET", "HEAD")


def allows(role: str, action: str) -> bool:
    """Whether a role opens an action, such as Microsoft.Batch/batchAccounts/pools/read."""
    return any(_matches(pattern, action) for pattern in ROLES[role])


def _matches(pattern: str, action: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), action, re.IGNORECASE) is not None


def action_of(method: str, segments: tuple[str, ...]) -> str:
    """The action that an operation of the Batch service needs, by its method and the segments of its path."""
    kind = {
        "pools": "pools",
        "jobs": "jobs",
        "jobschedules": "jobSchedules",
        "applications": "applications",
    }.get(segments[0])
    if kind is None:
        # What is told of the account as a whole: images, counts of nodes, usage.
        return f"{_BATCH}/batchAccounts/{'pools/' if segments[0] == 'nodecounts' else ''}read"
    if kind == "jobSchedules" and segments[-1] == "jobs":
        kind = "jobs"
    verb = (
        "read" if method in _READING else "delete" if method == "DELETE" and len(segments) == 2 else "write"
    )
    if segments[-1] == "evaluateautoscale":
        verb = "read"
    return f"{_BATCH}/batchAccounts/{kind}/{verb}"


class Roles:
    """Who has which role: principals, by their object ids. Who was given none may do everything, as before roles were
    given. It may be asked from any thread."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._lock = threading.Lock()

    def give(self, principal: str, role: str | None) -> None:
        """From now on, also for tokens that have been issued; None takes it back. A ValueError for no role."""
        if role is not None and role not in ROLES:
            raise ValueError(f"There is no role '{role}'; known are {', '.join(ROLES)}.")
        with self._lock:
            if role is None:
                self._given.pop(self._key(principal), None)
            else:
                self._given[self._key(principal)] = role

    def of(self, principal: str) -> str:
        with self._lock:
            return self._given.get(self._key(principal), WHOLE)

    def given(self) -> dict[str, str]:
        """The roles by principal."""
        with self._lock:
            return dict(self._given)

    @staticmethod
    def _key(principal: str) -> str:
        """The tenant's application goes by its client id too."""
        principal = principal.lower()
        return directory.PRINCIPAL_ID if principal == directory.CLIENT_ID else principal
