"""Signatures, versions and the shape of errors, with requests made by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from azure_batch_emulator import API_VERSIONS

from ..raw import error, send


@pytest.mark.parametrize("length", ["", "0"])
def test_both_forms_of_an_absent_length_are_taken(emulator, length):
    error(send(emulator, "DELETE", "/jobs/none", length=length), 404, "JobNotFound")


def test_a_wrong_length_of_a_body_is_not(emulator):
    error(send(emulator, "POST", "/jobs", {"id": "x"}, length="0"), 403, "AuthenticationFailed")


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"key": "d3Jvbmc="}, 403, "AuthenticationFailed"),
        ({"account": "other"}, 403, "AuthenticationFailed"),
        ({"authorization": ""}, 401, "AuthenticationFailed"),
        ({"authorization": "Bearer abc"}, 401, "AuthenticationFailed"),
        ({"authorization": "SharedKey"}, 400, "InvalidAuthenticationInfo"),
        ({"authorization": "SharedKey devbatch:!!!"}, 403, "AuthenticationFailed"),
        ({"date": datetime.now(UTC) - timedelta(minutes=16)}, 403, "AuthenticationFailed"),
        ({"date": datetime.now(UTC) + timedelta(minutes=30)}, 403, "AuthenticationFailed"),
        ({"headers": {"ocp-date": "yesterday"}}, 403, "AuthenticationFailed"),
    ],
)
def test_who_is_not_let_in(emulator, wrong, status, code):
    details = error(send(emulator, "GET", "/pools", **wrong), status, code)
    assert emulator.key not in details["AuthenticationErrorDetail"]


def test_some_minutes_of_skew_are_fine(emulator):
    assert send(emulator, "GET", "/pools", date=datetime.now(UTC) - timedelta(minutes=14)).ok


def test_the_query_is_signed_decoded_and_the_path_as_sent(emulator):
    path = "/pools?$filter=id%20eq%20%27a%2Fb%27&maxresults=5"
    assert send(emulator, "GET", path).json()["value"] == []
    error(send(emulator, "GET", "/pools/a/nodes/b/files/wd%2Fa%20b"), 404, "PoolNotFound")


@pytest.mark.parametrize("version", API_VERSIONS)
def test_known_versions(emulator, version):
    assert send(emulator, "GET", "/pools", version=version).ok


def test_unknown_and_missing_versions(emulator):
    error(send(emulator, "GET", "/pools", version="2031-01-01"), 400, "UnsupportedRequestVersion")
    error(send(emulator, "GET", "/pools", version=None), 400, "MissingRequiredQueryParameter")


def test_paths_and_verbs(emulator):
    error(send(emulator, "GET", "/nothing/here"), 400, "InvalidUri")
    error(send(emulator, "GET", "/"), 400, "InvalidUri")
    error(send(emulator, "PUT", "/pools"), 405, "UnsupportedHttpVerb")
    error(send(emulator, "GET", "/certificates"), 400, "InvalidUri")
    response = send(emulator, "HEAD", "/pools/none")
    assert (response.status_code, response.content) == (404, b"")


@pytest.mark.parametrize("version", API_VERSIONS[1:])
def test_what_older_versions_had(emulator, version):
    """Certificates are retired for every client; a file for remote desktop is not for nodes with Linux."""
    one = "/certificates(thumbprintAlgorithm=sha1,thumbprint=ab)"
    for method, path in [("GET", "/certificates"), ("POST", "/certificates"), ("GET", one), ("DELETE", one),
                         ("POST", one + "/canceldelete")]:  # fmt: skip
        error(send(emulator, method, path, version=version), 400, "InvalidRestAPIForAccountSetting")
    error(send(emulator, "GET", "/pools/p/nodes/n/rdp", version=version), 409, "OperationNotValidOnNode")


def test_response_headers(emulator):
    headers = send(
        emulator, "GET", "/pools", headers={"client-request-id": "abc", "return-client-request-id": "true"}
    ).headers
    assert headers["DataServiceVersion"] == "3.0" and headers["Server"] == "Microsoft-HTTPAPI/2.0"
    assert headers["X-Content-Type-Options"] == "nosniff" and len(headers["request-id"]) == 36
    assert headers["client-request-id"] == "abc" and "ETag" not in headers


def test_the_account_may_lead_the_path(emulator):
    path = f"/{emulator.account}/supportedimages?maxresults=1"
    body = send(emulator, "GET", path).json()
    assert body["odata.nextLink"].startswith(f"{emulator.url}/{emulator.account}/supportedimages?")
