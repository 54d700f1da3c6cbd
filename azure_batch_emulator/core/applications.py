"""Application packages: what the account has, and what pools and tasks ask of it.

https://learn.microsoft.com/azure/batch/batch-application-packages
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import BatchError, invalid_property

MAX_ON_POOL = 10


@dataclass(frozen=True)
class Application:
    """An application with the versions of its package; `default` is the one of references without a version."""

    id: str
    display_name: str
    versions: tuple[str, ...]
    default: str | None = None

    def version(self, wanted: str | None) -> str | None:
        """The version that a reference means, or None where there is none."""
        if wanted is None:
            return self.default
        return next((version for version in self.versions if version.lower() == wanted.lower()), None)


Applications = Mapping[str, Application]


def find(applications: Applications, reference: dict) -> tuple[Application, str] | None:
    """The application and the version that an applicationPackageReference means; ids without regard to case,
    or as resource ids (/subscriptions/.../applications/ID)."""
    application = applications.get(reference["applicationId"].rstrip("/").rpartition("/")[2].lower())
    version = application.version(reference.get("version")) if application else None
    return (application, version) if application and version else None


def check_distinct(references: list[dict]) -> None:
    seen = [(each["applicationId"].lower(), each.get("version", "").lower()) for each in references]
    for one in seen:
        if seen.count(one) > 1:
            raise invalid_property(
                "applicationPackageReferences", " ".join(one), "References must be distinct."
            )


def check_pool(references: list[dict], applications: Applications) -> None:
    """A pool's references must be met when they are given; those of a task only when it runs."""
    if len(references) > MAX_ON_POOL:
        raise invalid_property(
            "applicationPackageReferences", len(references), f"A pool has at most {MAX_ON_POOL}."
        )
    check_distinct(references)
    unmet = [each for each in references if find(applications, each) is None]
    if unmet:
        raise BatchError(
            "InvalidApplicationPackageReferences",
            [(each["applicationId"], each.get("version", "no default version")) for each in unmet],
        )


def view(application: Application) -> dict:
    return {
        "id": application.id,
        "displayName": application.display_name,
        "versions": list(application.versions),
    }
