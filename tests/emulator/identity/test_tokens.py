"""Bearer tokens: how they are got from the tenant, and which of them the Batch service takes."""

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
import requests
from azure.batch import BatchClient
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.storage.blob import BlobServiceClient

from azure_batch_emulator.identity import directory
from azure_batch_emulator.identity.issuer import ISSUER, Issuer, TokenError

from ..helpers import completed, make_job, make_pool, task
from ..raw import error, send

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SCOPE = "https://batch.core.windows.net//.default"


def credential(emulator, secret=directory.CLIENT_SECRET, client=directory.CLIENT_ID, tenant=directory.TENANT):
    return ClientSecretCredential(
        tenant, client, secret, authority=emulator.url, disable_instance_discovery=True
    )


def request_token(emulator, tenant=directory.TENANT, path="oauth2/v2.0/token", verify=True, **changes):
    form = {
        "grant_type": "client_credentials",
        "client_id": directory.CLIENT_ID,
        "client_secret": directory.CLIENT_SECRET,
        "scope": SCOPE,
    } | changes
    form = {name: value for name, value in form.items() if value is not None}
    return requests.post(f"{emulator.url}/{tenant}/{path}", data=form, verify=verify, timeout=30)


def token(emulator, **changes):
    return request_token(emulator, **changes).json()["access_token"]


# The issuer alone, with the time passed in


def refused(issuer, given, now=NOW, audiences=(directory.BATCH,)):
    with pytest.raises(TokenError) as caught:
        issuer.verify(given, audiences, now)
    assert not given or given not in str(caught.value)
    return caught.value


def test_a_token_is_good_for_its_audience_and_its_time():
    issuer = Issuer()
    given = issuer.issue(directory.BATCH, {"oid": "me"}, NOW, HOUR)
    for moment in (NOW - timedelta(minutes=9), NOW, NOW + HOUR + timedelta(minutes=4)):
        claims = issuer.verify(given, (directory.BATCH,), moment)
    assert (claims["oid"], claims["iss"], claims["tid"], claims["ver"]) == (
        "me",
        ISSUER,
        directory.TENANT,
        "1.0",
    )
    assert refused(issuer, given, NOW - timedelta(minutes=11)).code == "InvalidAuthenticationToken"
    assert refused(issuer, given, NOW + HOUR + timedelta(minutes=5)).code == "ExpiredAuthenticationToken"
    wrong = refused(issuer, given, audiences=("https://management.azure.com/",))
    assert wrong.code == "InvalidAuthenticationTokenAudience" and directory.BATCH in wrong.detail


def test_a_key_that_is_kept_outlives_its_issuer(tmp_path):
    path = tmp_path / "key.pem"
    given = Issuer(path).issue(directory.BATCH, {}, NOW, HOUR)
    assert Issuer(path).verify(given, (directory.BATCH,), NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("spoilt")
    assert "signature" in refused(Issuer(path), given).detail
    assert Issuer(path).key_id() == Issuer(path).key_id()


def test_another_ones_signature_and_none_are_refused():
    issuer, other = Issuer(), Issuer()
    given = issuer.issue(directory.BATCH, {}, NOW, HOUR)
    assert "signature" in refused(issuer, other.issue(directory.BATCH, {}, NOW, HOUR)).detail
    head, body, signature = given.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(claims | {"exp": 2**40}).encode()).decode().rstrip("=")
    assert "signature" in refused(issuer, f"{head}.{forged}.{signature}").detail
    bare = jwt.encode(claims, None, algorithm="none")
    symmetric = jwt.encode(claims, "x" * 64, algorithm="HS256")
    for bad in (bare, symmetric, "", "abc", "a.b.c", "ä.ö.ü", head):
        assert refused(issuer, bad).code == "InvalidAuthenticationToken"


@pytest.mark.parametrize("claim", ["aud", "exp", "iat", "iss", "nbf"])
def test_claims_that_have_to_be_there(claim):
    issuer = Issuer()
    claims = jwt.decode(issuer.issue(directory.BATCH, {}, NOW, HOUR), options={"verify_signature": False})
    del claims[claim]
    signed = jwt.encode(claims, issuer._key(), "RS256")
    assert claim in refused(issuer, signed).detail


def test_the_issuer_has_to_be_the_tenant():
    issuer = Issuer()
    given = issuer.issue(directory.BATCH, {"iss": "https://sts.windows.net/another/"}, NOW, HOUR)
    assert refused(issuer, given).code == "InvalidAuthenticationTokenTenant"


# The tenant's endpoints


def test_tokens_can_be_checked_with_the_published_keys(emulator):
    discovery = requests.get(
        f"{emulator.url}/{directory.TENANT}/v2.0/.well-known/openid-configuration", timeout=30
    ).json()
    answer = requests.post(
        discovery["token_endpoint"],
        data={
            "grant_type": "client_credentials",
            "client_id": directory.CLIENT_ID,
            "client_secret": directory.CLIENT_SECRET,
            "scope": SCOPE,
        },
        timeout=30,
    )
    assert answer.headers["Cache-Control"].startswith("no-store")
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3599)
    key = jwt.PyJWKClient(discovery["jwks_uri"]).get_signing_key_from_jwt(body["access_token"])
    claims = jwt.decode(
        body["access_token"], key.key, ["RS256"], audience=directory.BATCH, issuer=discovery["issuer"]
    )
    assert claims["appid"] == directory.CLIENT_ID and claims["oid"] == directory.PRINCIPAL_ID


def test_the_older_endpoint_takes_a_resource(emulator):
    body = request_token(emulator, path="oauth2/token", scope=None, resource=directory.BATCH).json()
    assert body["resource"] == directory.BATCH and int(body["expires_on"]) > int(body["not_before"])
    assert send(emulator, "GET", "/pools", authorization=f"Bearer {body['access_token']}").ok


def test_instance_discovery(emulator):
    body = requests.get(
        f"{emulator.url}/common/discovery/instance?api-version=1.1&authorization_endpoint=x", timeout=30
    ).json()
    assert requests.get(body["tenant_discovery_endpoint"], timeout=30).json()["issuer"] == ISSUER


def test_the_cloud_that_the_cli_registers(emulator):
    """`az cloud register --endpoint-resource-manager URL` reads this before anybody is logged in."""
    cloud = requests.get(f"{emulator.url}/metadata/endpoints?api-version=2022-09-01", timeout=30).json()
    assert cloud["resourceManager"] == cloud["authentication"]["loginEndpoint"] == emulator.url
    assert cloud["batch"] == directory.BATCH and cloud["name"] != "AzureCloud"
    for resource in (cloud["batch"], *cloud["authentication"]["audiences"]):
        assert request_token(emulator, scope=f"{resource}/.default").ok


@pytest.mark.parametrize(
    ("changes", "status", "said", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_id": "11111111-2222-3333-4444-555555555555"}, 400, "unauthorized_client", 700016),
        ({"tenant": "common"}, 400, "invalid_request", 90002),
        ({"tenant": "11111111-2222-3333-4444-555555555555"}, 400, "invalid_request", 90002),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"grant_type": None}, 400, "invalid_request", 900144),
        ({"client_secret": None}, 400, "invalid_request", 900144),
        ({"scope": None}, 400, "invalid_request", 900144),
        ({"scope": "https://batch.core.windows.net/user_impersonation"}, 400, "invalid_scope", 1002012),
        ({"scope": f"{SCOPE} https://storage.azure.com/.default"}, 400, "invalid_scope", 1002012),
        ({"scope": "https://example.org/.default"}, 400, "invalid_resource", 500011),
    ],
)
def test_what_gets_no_token(emulator, changes, status, said, number):
    response = request_token(emulator, **changes)
    body = response.json()
    assert (response.status_code, body["error"], body["error_codes"]) == (status, said, [number])
    assert f"AADSTS{number}" in body["error_description"]
    assert directory.CLIENT_SECRET not in response.text and "wrong" not in response.text


# The Batch service


def test_refused_tokens_say_why_but_do_not_appear(emulator):
    other = Issuer().issue(directory.BATCH, {}, datetime.now(UTC), HOUR)
    # The audience counts to the last slash, as people found out the hard way.
    shorter = token(emulator, scope="https://batch.core.windows.net/.default")
    for given, said in ((other, "signature"), (shorter, "wrong audience"), ("abc", "invalid")):
        response = send(emulator, "GET", "/pools", authorization=f"Bearer {given}")
        detail = error(response, 401, "AuthenticationFailed")["AuthenticationErrorDetail"]
        assert said in detail and (len(given) < 10 or given not in response.text)
        challenge = response.headers["WWW-Authenticate"]
        assert challenge.startswith(f'Bearer authorization_uri="{emulator.url}/{directory.TENANT}/')
        assert f'resource_id="{directory.BATCH}"' in challenge


def test_the_sdk_with_a_client_secret_over_https(secure):
    with BatchClient(secure.url, credential(secure)) as client:
        make_pool(client)
        make_job(client)
        client.create_task("job", task("t"))
        assert completed(client, task_id="t").execution_info.exit_code == 0
        job = client.get_job("job")
        assert job.url == f"{secure.url}/jobs/job"


def test_a_wrong_secret_gets_nowhere(secure):
    with (
        BatchClient(secure.url, credential(secure, secret="no")) as client,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        client.get_pool("none")


def test_the_default_credential_by_environment_variables_alone(secure, monkeypatch):
    """An authority on loopback is unknown to Microsoft; the tenant's name `adfs` spares clients asking there."""
    for name, value in {
        "AZURE_AUTHORITY_HOST": secure.url,
        "AZURE_TENANT_ID": "adfs",
        "AZURE_CLIENT_ID": directory.CLIENT_ID,
        "AZURE_CLIENT_SECRET": directory.CLIENT_SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    with BatchClient(secure.url, DefaultAzureCredential()) as client:
        assert list(client.list_pools()) == []


def test_azurite_takes_the_same_tokens(secure):
    url = secure.blob_url.partition("?")[0]
    with BlobServiceClient(url, credential(secure)) as service:
        service.create_container("tokens")
        service.get_blob_client("tokens", "a").upload_blob(b"1")
        assert "tokens" in [c.name for c in service.list_containers()]
        service.delete_container("tokens")
