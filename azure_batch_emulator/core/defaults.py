"""What the service fills in where a request is silent, as recorded in its answers, and the rules that go beyond
the shape of a body."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from ..errors import BatchError, invalid_property, missing_property
from ..wire import INFINITE, is_id, parse_duration
from . import applications, autoscale, identities
from .applications import Applications
from .containers import check_containers, check_settings
from .pool_properties import check_properties

_SECRETS = frozenset({"password", "accountKey", "sasKey", "sshPrivateKey", "protectedSettings"})
AUTO_USER = {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}


@dataclass(frozen=True)
class VmSize:
    name: str
    cores: int
    memory_gib: float
    temp_disk_gib: float


@dataclass(frozen=True)
class Catalogue:
    """What the region offers, VM sizes by lower-case name, and images as in supportedimages; and what the account
    has, applications by lower-case id, and whether a storage account is linked to it."""

    sizes: dict[str, VmSize]
    images: tuple[dict, ...]
    applications: Applications = field(default_factory=dict)
    auto_storage: bool = False


def strip_secrets(value: Any) -> Any:
    """Without what the service takes but never shows."""
    if isinstance(value, dict):
        return {key: strip_secrets(item) for key, item in value.items() if key not in _SECRETS}
    if isinstance(value, list):
        return [strip_secrets(item) for item in value]
    return value


def check_id(name: str, value: str) -> None:
    if not is_id(value):
        raise invalid_property(name, value, "An id has 1 to 64 letters, digits, hyphens and underscores.")


def check_display_name(spec: dict) -> None:
    if len(spec.get("displayName", "")) > 1024:
        raise invalid_property("displayName", spec["displayName"][:20] + "...", "At most 1024 characters.")


def check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise invalid_property(name, value, f"The value must be from {least} to {most}.")


def not_yet(what: str, value: object = "") -> BatchError:
    return BatchError(
        "NotImplementedByEmulator", [("Feature", what)] + ([("Value", str(value))] if value else [])
    )


def refuse(spec: dict, *names: str) -> None:
    """Properties that the emulator would have to ignore are refused instead."""
    for name in names:
        if spec.get(name):
            raise not_yet(name)


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
    for image in catalogue.images:
        known = image["imageReference"]
        if wanted == tuple(known[name].lower() for name in ("publisher", "offer", "sku")):
            break
    else:
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


def task_constraints(given: dict | None, job_retries: int) -> dict:
    """The job's number of retries is the default of the constraints as a whole: constraints without one say 0."""
    retries = job_retries if given is None else 0
    given = given or {}
    constraints = {"maxWallClockTime": INFINITE, "retentionTime": "P7D", "maxTaskRetryCount": retries} | given
    check_range("constraints/maxTaskRetryCount", constraints["maxTaskRetryCount"], -1, 2**31 - 1)
    check_positive("constraints/maxWallClockTime", constraints["maxWallClockTime"])
    check_retention("constraints/retentionTime", constraints["retentionTime"])
    return constraints


def share(spec: dict, other: dict) -> dict:
    """A specification that takes over from another the parts that are equal: tasks differ in little but their ids
    and command lines, and there may be very many of them. Nobody changes the parts."""
    return {name: other[name] if value == other.get(name) else value for name, value in spec.items()}


def task_spec(body: dict, job: dict) -> dict:
    check_id("id", body["id"])
    check_display_name(body)
    if "multiInstanceSettings" in body:
        body["multiInstanceSettings"] = multi_instance(body)
    applications.check_distinct(body.get("applicationPackageReferences", []))
    check_files(body, "")
    check_range("requiredSlots", body.get("requiredSlots", 1), 1, 256)
    if not body["commandLine"] and "containerSettings" not in body:
        raise invalid_property("commandLine", "", "Only a container task may have an empty command line.")
    if body.get("dependsOn"):
        if not job["usesTaskDependencies"]:
            raise BatchError("TaskDependenciesNotSpecifiedOnJob")
        if sum(map(len, body["dependsOn"].get("taskIds", []))) > 64_000:
            raise BatchError("TaskDependencyListTooLong")
        for span in body["dependsOn"].get("taskIdRanges", []):
            if span["start"] > span["end"]:
                raise invalid_property("dependsOn/taskIdRanges", span["start"], "The start is above the end.")
    check_exit_conditions(body.get("exitConditions", {}), job)
    retries = job["constraints"]["maxTaskRetryCount"]
    return (
        {"requiredSlots": 1, "userIdentity": AUTO_USER}
        | body
        | {"constraints": task_constraints(body.get("constraints"), retries)}
    )


def multi_instance(task: dict) -> dict:
    """https://learn.microsoft.com/rest/api/batchservice/tasks/create-task#multiinstancesettings"""
    settings = {"numberOfInstances": 1} | task["multiInstanceSettings"]
    check_range("multiInstanceSettings/numberOfInstances", settings["numberOfInstances"], 1, 2**31 - 1)
    if not settings["coordinationCommandLine"]:
        raise invalid_property("multiInstanceSettings/coordinationCommandLine", "", "A command is needed.")
    if task.get("requiredSlots", 1) != 1:
        reason = "A multi-instance task takes one slot of each node."
        raise invalid_property("requiredSlots", task["requiredSlots"], reason)
    common = settings.get("commonResourceFiles", [])
    check_resources(common, "multiInstanceSettings/commonResourceFiles")
    return settings


def check_exit_conditions(conditions: dict, job: dict) -> None:
    for span in conditions.get("exitCodeRanges", []):
        if span["start"] > span["end"]:
            raise invalid_property(
                "exitConditions/exitCodeRanges", span["start"], "The start is above the end."
            )
    options = [
        entry["exitOptions"] for name in ("exitCodes", "exitCodeRanges") for entry in conditions.get(name, [])
    ]
    options += [
        conditions[name]
        for name in ("preProcessingError", "fileUploadError", "default")
        if name in conditions
    ]
    if job["onTaskFailure"] == "noaction":
        for option in options:
            if option.get("jobAction"):
                raise invalid_property(
                    "exitConditions",
                    option["jobAction"],
                    "A jobAction needs the job's onTaskFailure to be set.",
                )
    if not job["usesTaskDependencies"]:
        for option in options:
            if option.get("dependencyAction"):
                raise invalid_property(
                    "exitConditions", option["dependencyAction"], "The job does not use task dependencies."
                )


def check_files(task: dict, path: str) -> None:
    """The rules of resourceFiles, outputFiles and containerSettings."""
    check_settings(task.get("containerSettings", {}), path)
    check_resources(task.get("resourceFiles", []), path + "resourceFiles")
    for i, file in enumerate(task.get("outputFiles", [])):
        where = f"{path}outputFiles[{i}]"
        if "container" not in file["destination"]:
            raise invalid_property(where + "/destination", "", "A container is needed.")
        check_url(
            where + "/destination/container/containerUrl", file["destination"]["container"]["containerUrl"]
        )


def check_resources(files: list[dict], path: str) -> None:
    sources = ("httpUrl", "storageContainerUrl", "autoStorageContainerName")
    for i, file in enumerate(files):
        where = f"{path}[{i}]"
        if sum(name in file for name in sources) != 1:
            raise invalid_property(where, "", f"Exactly one of {', '.join(sources)} is needed.")
        if "httpUrl" in file and not file.get("filePath"):
            raise invalid_property(where + "/filePath", "", "A file from httpUrl needs a filePath.")
        if "httpUrl" in file and "blobPrefix" in file:
            raise invalid_property(where + "/blobPrefix", file["blobPrefix"], "Not allowed with httpUrl.")
        if name := file.get("autoStorageContainerName"):
            _check(is_container, name, where + "/autoStorageContainerName", "This is not a container's name.")
        else:
            check_url(where, file.get("httpUrl") or file.get("storageContainerUrl", ""))
        if "fileMode" in file:
            _check(
                lambda text: 0 <= int(text, 8) <= 0o7777,
                file["fileMode"],
                where + "/fileMode",
                "An octal mode is needed.",
            )


def is_container(name: str) -> bool:
    return bool(re.fullmatch(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*", name))


def check_storage(body: Any, catalogue: Catalogue) -> None:
    """Whatever names a container of the linked storage account needs there to be one."""
    if isinstance(body, dict):
        if "autoStorageContainerName" in body and not catalogue.auto_storage:
            raise BatchError(
                "StorageAccountNotFound", [("AutoStorageContainerName", body["autoStorageContainerName"])]
            )
        body = list(body.values())
    if isinstance(body, list):
        for item in body:
            check_storage(item, catalogue)


def check_url(name: str, url: str) -> None:
    """An http or https URL; the answer does not repeat it, because it may carry a signature."""
    try:
        good = urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        good = False
    if not good:
        raise invalid_property(name, url.partition("?")[0], "An http or https URL is needed.")


def check_retention(name: str, duration: str) -> None:
    if parse_duration(duration) < timedelta():
        raise invalid_property(name, duration, "The duration must not be negative.")


def check_positive(name: str, duration: str) -> None:
    if parse_duration(duration) <= timedelta():
        raise invalid_property(name, duration, "The duration must be positive.")


def _check(test: Callable[[str], bool], value: str, name: str, reason: str) -> None:
    try:
        good = test(value)
    except ValueError:
        good = False
    if not good:
        raise invalid_property(name, value, reason)


def check_fits(task: dict, pool: dict, path: str = "", *, needed: bool = True) -> None:
    """What a task of any kind needs of the pool that it shall run in."""
    check_containers(task, pool, path, needed=needed)
    identities.check_task(task, pool, path)


def check_user(task: dict, pool: dict) -> None:
    name = task["userIdentity"].get("username")
    if name is not None and name not in {user["name"] for user in pool.get("userAccounts", ())}:
        raise invalid_property("userIdentity/username", name, "The pool has no such user account.")
