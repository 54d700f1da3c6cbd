"""Bodies of pools: what the service fills in, and the rules that go beyond their shape.

https://learn.microsoft.com/rest/api/batchservice/pools/create-pool
"""

from datetime import timedelta

from ...protocol.errors import BatchError, invalid_property, missing_property
from ...protocol.wire import parse_duration
from .. import autoscale
from . import applications
from .catalogue import Catalogue
from .checks import check_display_name, check_id, check_range, check_storage, not_yet
from .containers import check_identities
from .mounts import check_possible
from .pool_properties import check_properties
from .task_specs import AUTO_USER, check_files, check_fits


def pool_spec(body: dict, catalogue: Catalogue, now_text: str) -> dict:
    check_id("id", body["id"])
    check_display_name(body)
    check_storage(body, catalogue)
    check_auto_scale(body)
    size = catalogue.sizes.get(body["vmSize"].lower())
    if size is None:
        raise invalid_property(
            "vmSize", body["vmSize"], "The specified vmSize is not supported in this region."
        )
    if "virtualMachineConfiguration" not in body:
        raise invalid_property(
            "virtualMachineConfiguration", "", "A pool needs a virtualMachineConfiguration."
        )
    check_image(body["virtualMachineConfiguration"], catalogue, now_text)
    check_properties(body)
    check_identities(body)
    check_possible(body, catalogue.mountable)
    applications.check_pool(body.get("applicationPackageReferences", []), catalogue.applications)
    slots = body.get("taskSlotsPerNode", 1)
    check_range("taskSlotsPerNode", slots, 1, min(4 * size.cores, 256))
    timeout = body.get("resizeTimeout", "PT15M")
    if parse_duration(timeout) < parse_duration("PT5M"):
        raise invalid_property("resizeTimeout", timeout, "The least value is 5 minutes.")
    for name in ("targetDedicatedNodes", "targetLowPriorityNodes"):
        check_range(name, body.get(name, 0), 0, 2**31 - 1)
    if "startTask" in body:
        body["startTask"] = start_task(body["startTask"])
        check_fits(body["startTask"], body, "startTask/", needed=False)
    policy = {"nodeFillType": "spread"} | body.get("taskSchedulingPolicy", {})
    defaults = {
        "resizeTimeout": timeout,
        "taskSlotsPerNode": slots,
        "taskSchedulingPolicy": policy,
        "enableAutoScale": body.get("enableAutoScale", False),
        "enableInterNodeCommunication": body.get("enableInterNodeCommunication", False),
    }
    targets = {"targetDedicatedNodes": 0, "targetLowPriorityNodes": 0}
    return targets | body | defaults


def check_auto_scale(body: dict) -> None:
    """A pool that scales itself needs a formula, and its targets are the formula's.

    https://learn.microsoft.com/rest/api/batchservice/pools/create-pool
    """
    if not body.get("enableAutoScale"):
        for name in ("autoScaleFormula", "autoScaleEvaluationInterval"):
            if name in body:
                raise invalid_property(name, body[name], "Only for pools with enableAutoScale set to true.")
        return
    if "autoScaleFormula" not in body:
        raise missing_property("autoScaleFormula")
    for name in ("targetDedicatedNodes", "targetLowPriorityNodes"):
        if name in body:
            raise invalid_property(name, body[name], "Not for pools with enableAutoScale set to true.")
    check_formula(body["autoScaleFormula"])
    check_interval(body.setdefault("autoScaleEvaluationInterval", "PT15M"))


def check_formula(formula: str) -> None:
    try:
        autoscale.parse(formula)
    except autoscale.AutoscaleError as error:
        raise BatchError(error.code, [("Message", error.detail)]) from None


def check_interval(interval: str) -> None:
    if not timedelta(minutes=5) <= parse_duration(interval) <= timedelta(hours=168):
        raise invalid_property(
            "autoScaleEvaluationInterval", interval, "The value must be from 5 minutes to 168 hours."
        )


def check_image(config: dict, catalogue: Catalogue, now_text: str) -> None:
    reference, agent = config["imageReference"], config["nodeAgentSKUId"]
    custom = any(
        name in reference
        for name in ("virtualMachineImageId", "sharedGalleryImageId", "communityGalleryImageId")
    )
    if custom:
        if agent not in {image["nodeAgentSKUId"] for image in catalogue.images}:
            raise invalid_property("nodeAgentSKUId", agent, "There is no such node agent.")
        return
    wanted = tuple(reference.get(name, "").lower() for name in ("publisher", "offer", "sku"))
    image = catalogue.image(reference)
    if image is None:
        raise invalid_property(
            "imageReference", ":".join(wanted), "The image is not among the supported images."
        )
    if image["nodeAgentSKUId"] != agent:
        raise invalid_property("nodeAgentSKUId", agent, f"This image needs '{image['nodeAgentSKUId']}'.")
    if (end := image.get("batchSupportEndOfLife")) and end < now_text:
        raise invalid_property(
            "imageReference", ":".join(wanted), f"The support of this image ended on {end}."
        )
    if image["osType"] != "linux":
        raise not_yet("nodes with Windows", ":".join(wanted))
    if "containerConfiguration" in config and "DockerCompatible" not in image.get("capabilities", ()):
        raise invalid_property(
            "containerConfiguration", ":".join(wanted), "The image has no container capability."
        )


def start_task(task: dict) -> dict:
    check_files(task, "startTask/")
    check_range("startTask/maxTaskRetryCount", task.get("maxTaskRetryCount", 0), -1, 2**31 - 1)
    return {"userIdentity": AUTO_USER, "maxTaskRetryCount": 0, "waitForSuccess": True} | task
