"""Bodies of tasks: what the service fills in, and the rules that go beyond their shape.

https://learn.microsoft.com/rest/api/batchservice/tasks/create-task
"""

from collections.abc import Callable

from ...protocol.errors import BatchError, invalid_property, unsupported_property
from ...protocol.wire import INFINITE
from . import applications, identities
from .checks import (
    check_display_name,
    check_id,
    check_positive,
    check_range,
    check_retention,
    check_url,
    is_container,
)
from .containers import check_containers, check_settings

AUTO_USER = {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}


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
    # Lists without anything pass, as reported: https://github.com/Azure/azure-sdk-for-python/issues/27859
    if any(body.get("dependsOn", {}).values()):
        if not job["usesTaskDependencies"]:
            raise unsupported_property("dependsOn", "The job does not use task dependencies.")
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
