"""Applications and their packages, as Resource Manager makes and changes them. Blobs are the caller's business.

https://learn.microsoft.com/rest/api/batchmanagement/application,
https://learn.microsoft.com/rest/api/batchmanagement/application-package
"""

import hashlib
import re
from dataclasses import replace
from datetime import datetime, timedelta

from ..core.bodies.applications import MAX_APPLICATIONS, MAX_PACKAGES, VERSION, Application, Package
from ..core.bodies.checks import check_display_name, check_id
from ..core.machine import Machine
from ..protocol.conditions import Conditions
from ..protocol.errors import BatchError, invalid_property, missing_property
from ..protocol.wire import format_time
from . import pool_conversion

URL_LIFETIME = timedelta(hours=4)  # of a storageUrl, as recorded
_TYPE = "Microsoft.Batch/batchAccounts/applications"


def get(m: Machine, name: str) -> Application:
    found = m.catalogue.applications.get(name.lower())
    if found is None:
        raise BatchError("ApplicationNotFound")
    return found


def get_package(m: Machine, name: str, version: str) -> Package:
    found = get(m, name).package(version)
    if found is None:
        raise BatchError("ApplicationPackageNotFound")
    return found


def put(m: Machine, name: str, resource: dict, conditions: Conditions) -> Application:
    """Makes the application, or gives one that exists what `resource` says; its packages stay."""
    given = _properties(resource)
    before = m.applications.get(name.lower())
    _check_own(m, name)
    check_id("applicationName", name)
    if before is None:
        if conditions.match is not None:
            raise BatchError("ConditionNotMet")
        if len(m.catalogue.applications) >= MAX_APPLICATIONS:
            raise BatchError("ApplicationQuotaReached")
        before = Application(name, m.now, "")
    else:
        conditions.check("PUT", before.etag, before.modified)
    anew = Application(before.id, m.now, "", packages=before.packages)
    return _keep(m, anew, given | {"tags": pool_conversion.to_tags(resource)})


def patch(m: Machine, name: str, resource: dict, conditions: Conditions) -> Application:
    given = _properties(resource)
    before = get(m, name)
    _check_own(m, name)
    conditions.check("PATCH", before.etag, before.modified)
    return _keep(
        m, before, given | ({"tags": pool_conversion.to_tags(resource)} if "tags" in resource else {})
    )


def delete(m: Machine, name: str) -> bool:
    """Whether there was such an application. Its packages have to be deleted first."""
    if name.lower() not in m.catalogue.applications:
        return False
    _check_own(m, name)
    if get(m, name).packages:
        reason = "An application that has packages can't be deleted: delete them first."
        raise BatchError("OperationInvalidForCurrentState", [("Reason", reason)])
    del m.applications[name.lower()]
    return True


def check_package(m: Machine, name: str, version: str) -> str:
    """Whether a package could be put; the container that its blob is to go to."""
    application = get(m, name)
    _check_own(m, name)
    if not VERSION.fullmatch(version):
        reason = "A version has 1 to 64 letters, digits, hyphens, underscores and, but not first, periods."
        raise invalid_property("versionName", version, reason)
    package = application.package(version)
    if package is None and len(application.packages) >= MAX_PACKAGES:
        raise BatchError("ApplicationPackageQuotaReached")
    if package is not None and package.format is not None and not application.allow_updates:
        raise BatchError("ApplicationPackageExists")
    if not m.catalogue.auto_storage:
        raise BatchError("StorageAccountNotFound")
    return container(application.id)


def put_package(m: Machine, name: str, version: str, resource: dict, conditions: Conditions) -> Package:
    """Makes a package without content. One that is there stays as it is, until it is uploaded and activated again."""
    where = check_package(m, name, version)
    if unknown := sorted(set(resource) - {"properties", "tags", "id", "name", "type", "etag", "systemData"}):
        raise _unknown(unknown[0])
    tags = pool_conversion.to_tags(resource)
    before = get(m, name).package(version)
    if before is None and conditions.match is not None:
        raise BatchError("ConditionNotMet")
    if before is not None:
        conditions.check("PUT", before.etag, before.modified)
    return _keep_package(m, name, replace(before or Package(version, m.now, "", where), tags=tags))


def check_format(body: dict) -> str:
    """The format that a request to activate has."""
    if "format" not in body:
        raise missing_property("format")
    if body["format"] != "zip":
        raise invalid_property("format", body["format"], "The format is zip.")
    return body["format"]


def activate(m: Machine, name: str, version: str, kind: str) -> Package:
    """The package's blob is there: nodes can have it from now on."""
    package = check_uploaded(m, name, version)
    return _keep_package(m, name, replace(package, format=kind, activated=m.now))


def check_uploaded(m: Machine, name: str, version: str) -> Package:
    package = get_package(m, name, version)
    _check_own(m, name)
    return package


def delete_package(m: Machine, name: str, version: str) -> Package | None:
    """The package that has gone; None where there was none. A default version that goes leaves none behind."""
    application = m.catalogue.applications.get(name.lower())
    package = application.package(version) if application else None
    if application is None or package is None:
        return None
    _check_own(m, name)
    left = tuple(each for each in application.packages if each is not package)
    default = application.default if application.default != package.version else None
    m.applications[name.lower()] = replace(application, packages=left, default=default)
    return package


def container(name: str) -> str:
    """The container of an application's packages, which is called as recordings show it."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower())[:18].strip("-")
    digest = hashlib.md5(name.lower().encode(), usedforsecurity=False).hexdigest()
    return "-".join(part for part in ("app", words, digest) if part)


def show(application: Application, account: str) -> dict:
    properties: dict = {"allowUpdates": application.allow_updates}
    if application.display_name is not None:
        properties["displayName"] = application.display_name
    if application.default is not None:
        properties["defaultVersion"] = application.default
    resource_id = f"{account}/applications/{application.id}"
    return _resource(resource_id, _TYPE, application.etag, properties, application.tags)


def show_package(package: Package, application: str, url: str | None, expiry: datetime) -> dict:
    """`application` is the application's resource id, `url` where the package is in the linked storage account."""
    properties: dict = {"state": "Pending" if package.format is None else "Active"}
    if url is not None:
        properties |= {"storageUrl": url, "storageUrlExpiry": format_time(expiry)}
    if package.format is not None:
        properties["format"] = package.format
    if package.activated is not None:
        properties["lastActivationTime"] = format_time(package.activated)
    resource_id = f"{application}/versions/{package.version}"
    return _resource(resource_id, f"{_TYPE}/versions", package.etag, properties, package.tags)


def _resource(resource_id: str, kind: str, etag: str, properties: dict, tags: dict[str, str]) -> dict:
    name = resource_id.rpartition("/")[2]
    shown = {"id": resource_id, "name": name, "type": kind, "etag": f'W/"{etag}"', "properties": properties}
    return shown | ({"tags": tags} if tags else {})


_KINDS = {"displayName": str, "allowUpdates": bool, "defaultVersion": str}


def _properties(resource: dict) -> dict:
    """The properties that the body of an application has."""
    if unknown := sorted(set(resource) - {"properties", "tags", "id", "name", "type", "etag", "systemData"}):
        raise _unknown(unknown[0])
    given = {} if resource.get("properties") is None else resource["properties"]
    if not isinstance(given, dict):
        raise invalid_property("properties", given, "An object is expected.")
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if name not in _KINDS:
            raise _unknown(f"properties.{name}")
        if not isinstance(value, _KINDS[name]):
            reason = f"A {'boolean' if _KINDS[name] is bool else 'string'} is expected."
            raise invalid_property(f"properties.{name}", value, reason)
    check_display_name(given)
    return given


def _unknown(path: str) -> BatchError:
    reason = f"The property '{path}' does not exist on an application."
    return BatchError("InvalidRequestBody", [("Reason", reason), ("PropertyPath", path)])


def _check_own(m: Machine, name: str) -> None:
    """What the emulator was started with can't be changed: it would be there again after the next start."""
    if name.lower() in m.catalogue.applications and name.lower() not in m.applications:
        feature = "changing an application of --applications"
        raise BatchError("NotImplementedByEmulator", [("Feature", feature), ("Value", name)])


def _keep(m: Machine, application: Application, given: dict) -> Application:
    default = application.default
    if "defaultVersion" in given:
        package = application.package(given["defaultVersion"])
        if package is None:
            reason = "The default version must be that of a package."
            raise invalid_property("properties.defaultVersion", given["defaultVersion"], reason)
        default = package.version
    kept = m.applications[application.id.lower()] = replace(
        application,
        modified=m.now,
        etag=m.new_etag(),
        display_name=given.get("displayName", application.display_name),
        allow_updates=given.get("allowUpdates", application.allow_updates),
        default=default,
        tags=given.get("tags", application.tags),
    )
    return kept


def _keep_package(m: Machine, name: str, package: Package) -> Package:
    application = get(m, name)
    kept = replace(package, modified=m.now, etag=m.new_etag())
    others = [each for each in application.packages if each.version != package.version]
    packages = sorted([*others, kept], key=lambda each: each.version.lower())
    m.applications[name.lower()] = replace(application, packages=tuple(packages))
    return kept
