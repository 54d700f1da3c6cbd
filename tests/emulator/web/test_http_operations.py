"""Every operation answers in the service's own way; the tables agree with the installed client."""

import inspect
import re
from types import ModuleType

import pytest
from azure.batch import models
from azure.batch._operations import _operations

from azure_batch_emulator.protocol.schema import api
from azure_batch_emulator.web.app import handlers
from azure_batch_emulator.web.routing import operations

from ..raw import error, send


def test_there_are_72_operations_and_each_has_a_handler():
    names = {operation.name for operation in operations()}
    assert len(names) == len(operations()) == 72
    assert set(handlers()) == names


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.name)
def test_every_operation_has_an_answer(emulator, operation):
    path = "/" + "/".join("absent" if part.startswith("{") else part for part in operation.segments)
    response = send(emulator, operation.method, path, {} if operation.body else None)
    assert response.status_code < 500, response.text
    assert response.headers["request-id"]
    if "{" in "".join(operation.segments):
        assert response.status_code in (400, 404)


def _request_builders():
    for name, function in inspect.getmembers(_operations, inspect.isfunction):
        if match := re.fullmatch(r"build_batch_(.*)_request", name):
            yield match[1].removesuffix("_internal"), function


@pytest.mark.parametrize(("name", "build"), list(_request_builders()))
def test_the_table_agrees_with_the_client(name, build):
    """Method, path and query of each operation, as the installed client makes them."""
    arguments = {}
    for parameter in inspect.signature(build).parameters.values():
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            arguments[parameter.name] = "{x}"
    entry = api()["operations"][name]
    if "body" in entry:
        arguments["content_type"] = "application/json"
    request = build(**arguments)
    assert request.method == entry["method"]
    assert request.url.partition("?")[0].replace("%7Bx%7D", "{}") == re.sub(r"\{\w+\}", "{}", entry["path"])


def _client_models(module: ModuleType):
    for name, model in inspect.getmembers(module, inspect.isclass):
        if name in api()["models"]:
            model({})  # the client works out the wire names when a model is first made
            yield name, model


@pytest.mark.parametrize(("name", "model"), list(_client_models(models)))
def test_the_models_agree_with_the_client(name, model):
    """Properties, and which of them are read-only."""
    known = {field._rest_name: field._visibility for field in model._attr_to_rest_field.values()}
    ours = api()["models"][name]
    assert set(ours) == set(known)
    for wire, visibility in known.items():
        assert ours[wire].endswith(" read") == (visibility == ["read"]), wire


def test_a_body_that_is_wrong(emulator):
    error(send(emulator, "POST", "/jobs", "{not json"), 400, "InvalidRequestBody")
    error(send(emulator, "POST", "/jobs", "[]"), 400, "InvalidRequestBody")
    error(send(emulator, "POST", "/jobs"), 400, "InvalidRequestBody")
    details = error(
        send(emulator, "POST", "/jobs", {"id": "j", "poolInfo": {"pollId": "p"}}), 400, "InvalidRequestBody"
    )
    assert details["PropertyName"] == "poolInfo/pollId"
    assert error(send(emulator, "POST", "/jobs", {"id": "j"}), 400, "MissingRequiredProperty") == {
        "PropertyName": "poolInfo"
    }
    job = {"id": "j", "poolInfo": {"poolId": "p"}}
    for code, name, value in (
        ("InvalidRequestBody", "priority", "high"),
        ("InvalidPropertyValue", "priority", 1001),
        ("InvalidPropertyValue", "maxParallelTasks", 0),
        ("InvalidRequestBody", "usesTaskDependencies", 3),
        ("InvalidPropertyValue", "onAllTasksComplete", "sometimes"),
        ("InvalidRequestBody", "metadata", {}),
        ("InvalidRequestBody", "constraints", []),
        ("InvalidRequestBody", "constraints", {"maxWallClockTime": "5 minutes"}),
        ("InvalidPropertyValue", "id", "no spaces"),
    ):
        details = error(send(emulator, "POST", "/jobs", job | {name: value}), 400, code)
        assert details["PropertyName"].startswith(name) and details["Reason"]
    error(send(emulator, "PUT", "/jobs/j", job | {"state": "active"}), 400, "InvalidRequestBody")


def test_what_the_az_cli_sends_is_understood(emulator):
    """Integers as strings, nulls, another spelling of enums, zero-padded durations."""
    body = {
        "id": "cli",
        "vmSize": "standard_d2s_v3",
        "targetDedicatedNodes": "0",
        "displayName": None,
        "resizeTimeout": "PT06M00S",
        "taskSchedulingPolicy": {"nodeFillType": "Pack"},
        "virtualMachineConfiguration": {
            "imageReference": {"publisher": "Microsoft-DSVM", "offer": "ubuntu-hpc", "sku": "2204"},
            "nodeAgentSKUId": "batch.node.ubuntu 22.04",
        },
    }
    assert send(emulator, "POST", "/pools", body, version="2024-02-01.19.0").status_code == 201
    pool = send(emulator, "GET", "/pools/CLI").json()
    assert pool["resizeTimeout"] == "PT6M" and pool["taskSchedulingPolicy"]["nodeFillType"] == "pack"
    assert pool["targetDedicatedNodes"] == 0 and "displayName" not in pool


def test_an_unknown_query_parameter(emulator):
    error(send(emulator, "GET", "/pools?colour=red"), 400, "UnsupportedQueryParameter")
    assert send(emulator, "GET", "/pools?timeOut=30").ok


@pytest.mark.parametrize(
    ("wrong", "code", "name"),
    [
        ({"vmSize": "Standard_Nope"}, "InvalidPropertyValue", "vmSize"),
        ({"mountConfiguration": [{}]}, "InvalidPropertyValue", "mountConfiguration[0]"),
        ({"mountConfiguration": [{"nfsMountConfiguration": {"source": "h:/x", "relativeMountPath": "../x"}}]},
         "InvalidPropertyValue", "mountConfiguration[0]/nfsMountConfiguration/relativeMountPath"),
        ({"mountConfiguration": [{"nfsMountConfiguration": {"source": "h:/x", "relativeMountPath": "x"}}]},
         "NotImplementedByEmulator", None),
        ({"userAccounts": [{"name": "u" * 21, "password": "p"}]}, "InvalidPropertyValue", "userAccounts/name"),
        ({"enableAutoScale": True}, "MissingRequiredProperty", "autoScaleFormula"),
        ({"virtualMachineConfiguration": {"nodeAgentSKUId": "x"}}, "MissingRequiredProperty",
         "virtualMachineConfiguration/imageReference"),
        ({"virtualMachineConfiguration": {"imageReference": {"publisher": "microsoft-azure-batch",
          "offer": "ubuntu-server-container", "sku": "20-04-lts"}, "nodeAgentSKUId": "batch.node.ubuntu 20.04"}},
         "InvalidPropertyValue", "imageReference"),
        ({"virtualMachineConfiguration": {"imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts",
          "sku": "server"}, "nodeAgentSKUId": "batch.node.ubuntu 24.04",
          "containerConfiguration": {"type": "dockerCompatible"}}}, "InvalidPropertyValue", "containerConfiguration"),
    ],
)  # fmt: skip
def test_pools_that_are_refused(emulator, wrong, code, name):
    body = {
        "id": "p",
        "vmSize": "Standard_D2s_v3",
        "virtualMachineConfiguration": {
            "imageReference": {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2404"},
            "nodeAgentSKUId": "batch.node.ubuntu 24.04",
        },
    } | wrong
    details = error(send(emulator, "POST", "/pools", body), 501 if code.startswith("Not") else 400, code)
    if name:
        assert details["PropertyName"] == name
    if code == "InvalidPropertyValue":
        assert set(details) == {"PropertyName", "PropertyValue", "Reason"}


@pytest.mark.parametrize(
    ("linked", "kind"),
    [
        ({"networkConfiguration": {"subnetId": "/subscriptions/s"}}, "Network"),
        ({"virtualMachineConfiguration": {"imageReference": {"sharedGalleryImageId": "/x"}, "nodeAgentSKUId": "batch.node.ubuntu 24.04"}}, "Compute"),
    ],
)  # fmt: skip
def test_networks_and_images_of_somebodys_own_are_not_for_the_accounts_key(emulator, linked, kind):
    image = {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2404"}
    machine = {"imageReference": image, "nodeAgentSKUId": "batch.node.ubuntu 24.04"}
    body = {"id": "linked", "vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": machine} | linked
    refused = send(emulator, "POST", "/pools", body)
    values = error(refused, 403, "AuthenticationFailed")
    assert values["AuthenticationErrorDetail"].endswith(f"external resources of type {kind} are linked.")
