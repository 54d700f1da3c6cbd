"""What belongs to the account: applications."""

from ..core import applications
from ..errors import BatchError
from .call import Call, Reply


def list_applications(call: Call) -> Reply:
    rows = sorted(call.engine.packages.applications.items())
    return call.listing(rows, {}, applications.view, "applications")


def get_application(call: Call) -> Reply:
    found = call.engine.packages.applications.get(call.path["applicationId"].lower())
    if found is None:
        raise BatchError("ApplicationNotFound")
    return call.item(applications.view(found), "applications")
