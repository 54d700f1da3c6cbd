"""Applications and their packages over Resource Manager: uploads go to the linked storage account.

https://learn.microsoft.com/azure/batch/batch-application-packages
"""

from datetime import UTC, datetime

from ...core.bodies.applications import Application, Package
from ...management import accounts, applications
from ...protocol.errors import BatchError
from .call import Answer, Ask, stamped


def list_applications(ask: Ask) -> Answer:
    rows = ask.engine.read(lambda m: sorted(m.catalogue.applications.items()))
    return ask.page(rows, _resource)


def get_application(ask: Ask) -> Answer:
    return _answer(ask.engine.read(lambda m: applications.get(m, _name(ask))))


def put_application(ask: Ask) -> Answer:
    body = ask.body(optional=True)
    return _answer(ask.engine.call(applications.put, _name(ask), body, ask.conditions()))


def patch_application(ask: Ask) -> Answer:
    return _answer(ask.engine.call(applications.patch, _name(ask), ask.body(), ask.conditions()))


def delete_application(ask: Ask) -> Answer:
    return Answer(200 if ask.engine.call(applications.delete, _name(ask)) else 204)


def list_packages(ask: Ask) -> Answer:
    found = ask.engine.read(lambda m: applications.get(m, _name(ask)))
    rows = sorted((package.version.lower(), package) for package in found.packages)
    return ask.page(rows, lambda package: _package_resource(ask, found, package))


def get_package(ask: Ask) -> Answer:
    return _package_answer(ask, ask.engine.read(lambda m: applications.get_package(m, *_names(ask))))


def put_package(ask: Ask) -> Answer:
    body, conditions = ask.body(optional=True), ask.conditions()
    container = ask.engine.read(lambda m: applications.check_package(m, *_names(ask)))
    ask.engine.linked_storage.make_container(container)
    return _package_answer(ask, ask.engine.call(applications.put_package, *_names(ask), body, conditions))


def activate_package(ask: Ask) -> Answer:
    kind = applications.check_format(ask.body())
    package = ask.engine.read(lambda m: applications.check_uploaded(m, *_names(ask)))
    if not ask.engine.linked_storage.has(package.container or "", package.version):
        reason = "The package has not been uploaded to its storageUrl."
        raise BatchError("OperationInvalidForCurrentState", [("Reason", reason)])
    return _package_answer(ask, ask.engine.call(applications.activate, *_names(ask), kind))


def delete_package(ask: Ask) -> Answer:
    package = ask.engine.call(applications.delete_package, *_names(ask))
    if package is None:
        return Answer(204)
    ask.engine.linked_storage.delete(package.container or "", package.version)
    return Answer(200)


def _name(ask: Ask) -> str:
    return ask.parameters["application"]


def _names(ask: Ask) -> tuple[str, str]:
    return ask.parameters["application"], ask.parameters["version"]


def _resource(application: Application) -> dict:
    return applications.show(application, accounts.ACCOUNT_PATH)


def _answer(application: Application) -> Answer:
    return stamped(_resource(application), application.modified)


def _package_resource(ask: Ask, application: Application, package: Package) -> dict:
    expiry = datetime.now(UTC) + applications.URL_LIFETIME
    url = None
    if package.container is not None and ask.engine.catalogue.auto_storage:
        url = ask.engine.linked_storage.blob_url(package.container, package.version, expiry)
    return applications.show_package(package, _resource(application)["id"], url, expiry)


def _package_answer(ask: Ask, package: Package) -> Answer:
    application = ask.engine.read(lambda m: applications.get(m, _name(ask)))
    return stamped(_package_resource(ask, application, package), package.modified)
