"""Roles: what a token opens, operation by operation, at the Batch service and at Resource Manager."""

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.mgmt.batch import BatchManagementClient

from azure_batch_emulator.identity import directory
from azure_batch_emulator.identity.roles import ROLES, action_of, allows
from azure_batch_emulator.web import routing

from ..raw import error, send
from .test_tokens import credential, token

SUBMITTER, DATA, ACCOUNT_READER = (
    f"Azure Batch {name}" for name in ("Job Submitter", "Data Contributor", "Account Reader")
)


@pytest.fixture
def given(emulator):
    """Gives the tenant's application a role, and takes it back in the end."""

    def give(role):
        return send(emulator, "PUT", f"/-/roles/{directory.CLIENT_ID}", {"role": role})

    yield give
    assert give(None).json() == {}


def ask(emulator, method, path, **more):
    headers = {"Authorization": f"Bearer {token(emulator)}"}
    return requests.request(
        method, f"{emulator.url}{path}", headers=headers, params={"api-version": "2025-06-01"}, **more
    )


@pytest.mark.parametrize(
    ("role", "method", "path", "allowed"),
    [
        (SUBMITTER, "GET", "/jobs", True),
        (SUBMITTER, "GET", "/pools", True),
        (SUBMITTER, "GET", "/applications", True),
        (SUBMITTER, "GET", "/supportedimages", False),
        (SUBMITTER, "DELETE", "/pools/none", False),
        (SUBMITTER, "DELETE", "/jobs/none", True),
        (SUBMITTER, "POST", "/pools/none/stopresize", False),
        (DATA, "GET", "/supportedimages", True),
        (DATA, "DELETE", "/pools/none", True),
        (DATA, "POST", "/pools/none/stopresize", True),
        (ACCOUNT_READER, "GET", "/jobs", True),
        (ACCOUNT_READER, "GET", "/nodecounts", True),
        (ACCOUNT_READER, "POST", "/jobs/none/disable", False),
        ("Reader", "GET", "/pools", True),
        ("Reader", "GET", "/jobs", False),
        ("none", "GET", "/pools", False),
    ],
)
def test_what_a_role_opens(emulator, given, role, method, path, allowed):
    assert given(role).json() == {directory.PRINCIPAL_ID: role}
    answer = ask(
        emulator, method, path, json={"disableTasks": "requeue"} if path.endswith("disable") else None
    )
    if allowed:
        assert answer.status_code in (200, 404)
    else:
        assert role in str(error(answer, 403, "InsufficientAccountPermissions"))


def test_the_key_needs_no_role(emulator, given):
    given("none")
    assert list(emulator.client().list_pools()) == []


@pytest.mark.parametrize("role", ["Owner of all", 3])
def test_no_role(emulator, given, role):
    answer = given(role)
    assert answer.status_code == 400 and SUBMITTER in answer.text


def test_every_operation_has_an_action_that_somebody_may_do():
    for operation in routing.operations():
        action = action_of(operation.method, operation.segments)
        assert allows("Azure Batch Account Contributor", action)
        assert not allows("none", action)
        if operation.method in ("GET", "HEAD"):
            assert allows(ACCOUNT_READER, action), operation.name
        if operation.segments[0] in ("jobs", "jobschedules"):
            assert allows(SUBMITTER, action), operation.name


def test_resource_manager_too(secure, monkeypatch):
    def give(role):
        send(secure, "PUT", f"/-/roles/{directory.PRINCIPAL_ID}", {"role": role})

    with BatchManagementClient(
        credential(secure),
        directory.SUBSCRIPTION,
        secure.url,
        credential_scopes=["https://management.azure.com/.default"],
    ) as client:
        try:
            give(SUBMITTER)
            assert list(client.pool.list_by_batch_account("devbatch", "devbatch")) == []
            assert list(client.batch_account.list()) == []
            with pytest.raises(HttpResponseError) as refused:
                client.batch_account.get("devbatch", "devbatch")
            assert refused.value.status_code == 403 and refused.value.error.code == "AuthorizationFailed"
            assert "Microsoft.Batch/batchAccounts/read" in str(refused.value)
            give(DATA)
            assert client.batch_account.get("devbatch", "devbatch").name == "devbatch"
            with pytest.raises(HttpResponseError) as refused:
                client.batch_account.get_keys("devbatch", "devbatch")
            assert refused.value.status_code == 403
        finally:
            give(None)
    assert SUBMITTER in ROLES
