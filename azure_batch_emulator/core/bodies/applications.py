"""Application packages: what the account has, and what pools and tasks ask of it.

https://learn.microsoft.com/azure/batch/batch-application-packages
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ...protocol.errors import BatchError, invalid_property

MAX_ON_POOL = 10
# https://learn.microsoft.com/azure/batch/batch-quota-limit
MAX_APPLICATIONS, MAX_PACKAGES = 20, 40
VERSION = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Package:
    """One version of an application. It can be used when it is active, that is with a `format`. `container` is where
    its blob is in the linked storage account; None for an archive in the directory of applications."""

    version: str
    modified: datetime
    etag: str
    container: str | None = None
    format: str | None = None
    activated: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Application:
    """An application with its packages; `default` is the version of references without one."""

    id: str
    modified: datetime
    etag: str
    display_name: str | None = None
    packages: tuple[Package, ...] = ()
    default: str | None = None
    allow_updates: bool = True
    tags: dict[str, str] = field(default_factory=dict)

    def package(self, version: str) -> Package | None:
        return next((each for each in self.packages if each.version.lower() == version.lower()), None)

    @property
    def active(self) -> list[Package]:
        """What can be used."""
        return [each for each in self.packages if each.format is not None]

    def wanted(self, version: str | None) -> Package | None:
        """The active package that a reference means, or None where there is none."""
        named = version if version is not None else self.default
        found = self.package(named) if named is not None else None
        return found if found is not None and found.format is not None else None


Applications = Mapping[str, Application]


def find(applications: Applications, reference: dict) -> tuple[Application, Package] | None:
    """The application and the package that an applicationPackageReference means; ids without regard to case,
    or as resource ids (/subscriptions/.../applications/ID)."""
    application = _application(applications, reference)
    package = application.wanted(reference.get("version")) if application else None
    return (application, package) if application and package else None


def _application(applications: Applications, reference: dict) -> Application | None:
    return applications.get(reference["applicationId"].rstrip("/").rpartition("/")[2].lower())


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
            [(name(each), _what_is_missing(applications, each)) for each in unmet],
        )


def name(reference: dict) -> str:
    """A reference as errors show it: `ID:VERSION`, or `ID`."""
    return f"{reference['applicationId']}:{reference.get('version', '')}".rstrip(":")


def _what_is_missing(applications: Applications, reference: dict) -> str:
    application = _application(applications, reference)
    if (
        application is not None
        and application.active
        and "version" not in reference
        and application.default is None
    ):
        return "The specified application package does not have a default version set."
    return "The specified application package does not exist."


def available(applications: Applications) -> dict[str, Application]:
    """Those that nodes could use: the only ones that the Batch service, other than Resource Manager, shows."""
    return {key: applications[key] for key in sorted(applications) if applications[key].active}


def view(application: Application) -> dict:
    return {
        "id": application.id,
        "displayName": application.display_name or application.id,
        "versions": [package.version for package in application.active],
    }
