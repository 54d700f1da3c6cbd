"""What belongs to the account: applications, supported images, and what its pools have used."""

from datetime import datetime

from ...core.bodies import applications
from ...core.machine import Machine
from ...core.nodes import usage
from ...core.views import lists
from ...protocol.errors import BatchError, invalid_query
from ...protocol.wire import parse_time
from ..call import Call, Reply


def list_applications(call: Call) -> Reply:
    rows = call.engine.read(lambda m: applications.available(m.catalogue.applications)).items()
    return call.listing(rows, {}, applications.view, "applications")


def get_application(call: Call) -> Reply:
    key = call.path["applicationId"].lower()
    found = call.engine.read(lambda m: m.catalogue.applications.get(key))
    if found is None or not found.active:
        raise BatchError("ApplicationNotFound")
    return call.item(applications.view(found), "applications")


def list_supported_images(call: Call) -> Reply:
    rows = [(f"{i:05}", image) for i, image in enumerate(call.engine.catalogue.images)]
    return call.listing(rows, lists.IMAGES, lambda image: image, "supportedimages")


def _time(call: Call, name: str) -> datetime | None:
    if name not in call.query:
        return None
    try:
        return parse_time(call.query[name])
    except ValueError as error:
        raise invalid_query(name, call.query[name], f"{error}.") from None


def list_pool_usage_metrics(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        found = usage.metrics(m, _time(call, "starttime"), _time(call, "endtime"))
        return call.listing(found.items(), lists.USAGE, usage.view, "poolusagemetrics")

    return call.engine.read(read)
