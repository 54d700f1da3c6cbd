"""What tasks are given to reach their blobs."""

import base64
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import AccessPolicy, UserDelegationKey, generate_container_sas
from azure.storage.blob import _shared_access_signature as of_the_sdk

from snakemake.azure.blob import node_access, policies
from snakemake.azure.blob.account import BlobAccount, BlobAccountError
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.node_access import NodeAccess, Use, revoke
from snakemake.azure.blob.sas import ContainerSas
from snakemake.azure.blob.service import API_VERSION, connect
from snakemake.azure.blob.store import BlobStore

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = "a2V5a2V5"
CLOUD = "https://acme1.blob.core.windows.net"
SAS = "sv=2023-11-03&se=2030-01-01T00%3A00%3A00Z&sp=rwdlc&sig=c2ln%3D"
RUN = "smk-test-run"


def access(*uses, now=None, lifetime=timedelta(hours=2), run=RUN, warn=lambda text: None):
    return NodeAccess(run, uses, lambda: now or datetime.now(UTC), lifetime, warn)


def use(account, tag=None, **containers):
    return Use(account, lambda: {name.replace("_", "-"): writes for name, writes in containers.items()}, tag)


@pytest.fixture
def owner(azurite):
    return BlobAccount.resolve(account_url=azurite.url, account_key=azurite.key, environ={})


@pytest.fixture
def mine(azurite):
    """Names of two containers, with a blob each."""
    made = [azurite.new_container(), azurite.new_container()]
    for each in made:
        each.upload_blob("there", b"1")
    return [each.container_name for each in made]


def in_task(environment) -> BlobAccount:
    return BlobAccount.resolve(environ=environment)


def fields(sas: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(sas).items()}


def test_a_users_sas_is_passed_on_as_it_is():
    account = BlobAccount.resolve(environ={"AZ_BLOB_ACCOUNT_URL": f"{CLOUD}?{SAS}"})
    assert access(use(account, box=True)).environment() == {"AZ_BLOB_ACCOUNT_URL": f"{CLOUD}?{SAS}"}


def test_a_sas_does_what_a_task_needs_and_nothing_else(owner, azurite, mine):
    given = access(use(owner, **{mine[0]: True}))
    environment = given.environment()
    assert list(environment) == ["AZ_BLOB_ACCOUNT_URL"]
    assert azurite.key not in json.dumps(environment)
    client = connect(in_task(environment))
    box = client.get_container_client(mine[0])
    box.upload_blob("a", b"1").set_blob_metadata({"touched": "yes"})
    assert [b.name for b in box.list_blobs()] == ["a", "there"]
    assert box.download_blob("a").readall() == b"1"
    box.delete_blob("a")
    other = client.get_container_client(mine[1])
    for forbidden in (
        lambda: list(client.list_containers()),
        lambda: client.create_container("another"),
        box.delete_container,
        box.get_container_access_policy,
        lambda: other.upload_blob("there", b"2", overwrite=True),
        other.get_blob_client("there").get_blob_properties,
        other.delete_container,
    ):
        with pytest.raises(HttpResponseError):
            forbidden()


def test_several_containers_each_by_its_own_sas_and_one_only_to_read(owner, mine, tmp_path):
    environment = access(use(owner, **{mine[0]: True, mine[1]: False})).environment()
    assert "sig=" not in environment["AZ_BLOB_ACCOUNT_URL"]
    account = in_task(environment)
    assert account.kind == "sas" and "sig" not in repr(account)
    store = BlobStore(account)
    (tmp_path / "file").write_text("2")
    store.upload(mine[0], "out", tmp_path / "file")
    assert store.exists(mine[1], "there") and [b.name for p in store.pages(mine[1], "") for b in p.blobs] == [
        "there"
    ]
    store.fetch(mine[1], "there", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "1"
    with pytest.raises(BlobError, match="does not permit|was refused"):
        store.upload(mine[1], "out", tmp_path / "file")
    with pytest.raises(
        BlobAccountError, match="^This task has no access to the container third .*name it in"
    ):
        store.exists("third", "x")


def test_a_containers_sas_withdrawn_is_worth_nothing(owner, mine):
    given = access(use(owner, **{mine[0]: True, mine[1]: False}))
    client = connect(in_task(given.environment()))
    list(client.get_container_client(mine[0]).list_blobs())
    assert given.revoke() and not given.revoke()
    for name in mine:
        with pytest.raises(HttpResponseError) as refused:
            list(client.get_container_client(name).list_blobs())
        assert refused.value.status_code == 403


def test_the_next_client_can_end_what_a_dead_one_gave(owner, mine):
    client = connect(in_task(access(use(owner, **{mine[0]: True})).environment()))
    assert revoke(owner, mine[0], RUN)
    with pytest.raises(HttpResponseError):
        client.get_container_client(mine[0]).upload_blob("late", b"")
    assert not revoke(owner, mine[0], RUN) and not revoke(owner, "not-there", RUN)


def test_a_container_to_be_written_is_made_for_the_tasks_and_one_to_be_read_is_not(owner, azurite):
    environment = access(use(owner, made_for_tasks=True, not_to_be_made=False)).environment()
    names = {c.name for c in azurite.service().list_containers()}
    assert "made-for-tasks" in names and "not-to-be-made" not in names
    BlobStore(in_task(environment)).mark_folder("made-for-tasks", "folder")
    azurite.service().delete_container("made-for-tasks")


def test_policies_of_others_stay_and_those_of_dead_runs_make_room(owner, azurite, mine):
    box = azurite.service().get_container_client(mine[0])
    week = timedelta(days=7)
    kept = AccessPolicy(permission="r", start=NOW, expiry=NOW + 100 * week)
    dead = AccessPolicy(permission="rw", start=NOW - week, expiry=NOW - timedelta(hours=1))
    box.set_container_access_policy(
        {"theirs": kept, "smk-alive": kept, "smk-dead-1": dead, "smk-dead-2": dead, "old": dead}
    )
    given = access(use(owner, **{mine[0]: True}), now=NOW, lifetime=timedelta(days=9999))
    sas = fields(in_task(given.environment()).sas)
    assert sas["si"] == RUN and not {"se", "sp", "st"} & set(sas)
    assert {p.id for p in box.get_container_access_policy()["signed_identifiers"]} == {
        "theirs",
        "smk-alive",
        "old",
        RUN,
    }
    given.revoke()
    left = {p.id: p.access_policy for p in box.get_container_access_policy()["signed_identifiers"]}
    assert set(left) == {"theirs", "smk-alive", "old"} and left["theirs"].permission == "r"


def test_with_no_room_for_a_policy_the_sas_ends_by_itself_and_the_user_is_told(owner, azurite, mine):
    box = azurite.service().get_container_client(mine[0])
    box.set_container_access_policy(
        {f"theirs-{n}": AccessPolicy(permission="r") for n in range(policies.ROOM)}
    )
    told = []
    now = datetime.now(UTC)  # the service goes by its own clock
    given = access(use(owner, **{mine[0]: False}), now=now, lifetime=timedelta(hours=3), warn=told.append)
    sas = fields(in_task(given.environment()).sas)
    assert (sas["sp"], sas["sr"], sas["sv"]) == ("rl", "c", API_VERSION)
    start, end = now - timedelta(minutes=15), now + timedelta(hours=3)
    assert (sas["st"], sas["se"]) == (f"{start:%Y-%m-%dT%H:%M:%SZ}", f"{end:%Y-%m-%dT%H:%M:%SZ}")
    assert (
        len(told) == 1
        and mine[0] in told[0]
        and "--az-batch-sas-hours" in told[0]
        and f"{end:%Y-%m-%d %H:%M}" in told[0]
    )
    assert not given.revoke()
    assert len(box.get_container_access_policy()["signed_identifiers"]) == policies.ROOM


def test_runs_that_begin_together_each_get_their_policy(owner, azurite, mine):
    from concurrent.futures import ThreadPoolExecutor

    runs = [access(use(owner, **{mine[0]: True}), run=f"smk-{n}") for n in range(5)]
    with ThreadPoolExecutor(5) as pool:
        environments = list(pool.map(lambda each: each.environment(), runs))
        for environment in environments:
            BlobStore(in_task(environment)).mark_folder(mine[0], "x")
        assert list(pool.map(lambda each: each.revoke(), runs)) == [True] * 5
    assert (
        not azurite.service()
        .get_container_client(mine[0])
        .get_container_access_policy()["signed_identifiers"]
    )


def test_a_container_that_comes_up_later_is_for_the_tasks_from_then_on(owner, mine):
    named = {mine[0]: True}
    given = access(Use(owner, lambda: named))
    first = given.environment()
    assert given.further() == {}
    named[mine[1]] = False
    later = given.further()
    assert given.environment() == first
    store = BlobStore(in_task({**first, **later}))
    assert store.exists(mine[0], "there") and store.exists(mine[1], "there")


def test_two_tags_of_one_account_and_another_with_a_sas_of_the_users(owner, mine):
    theirs = BlobAccount.resolve(account_url=f"{CLOUD}?{SAS}", environ={})
    environment = access(
        use(owner, **{mine[0]: True}), use(owner, "in", **{mine[1]: False}), use(theirs, "far", box=True)
    ).environment()
    tagged = dict(
        text.split("::", 1) for text in json.loads(environment["SNAKEMAKE_STORAGE_AZBLOB_ACCOUNT_URL"])
    )
    assert tagged == {"far": f"{CLOUD}?{SAS}", "in": owner.url}
    node = BlobAccount.resolve(account_url=tagged["in"], environ=environment)
    assert set(node.container_sas) == set(mine)


def test_tasks_find_a_custom_domain_too():
    given = f"AccountName=acme2;AccountKey={KEY};BlobEndpoint=https://data.acme.org"
    account = BlobAccount.resolve(environ={"AZ_BLOB_CONNECTION_STRING": given})
    sas = ContainerSas(account.name, "box", "https", "rl", NOW, NOW).by_key(KEY)
    node = in_task({"AZ_BLOB_ACCOUNT_URL": f"https://data.acme.org?{sas}"})
    assert (node.url, node.kind) == ("https://data.acme.org", "sas")


@pytest.mark.parametrize("policy", [None, "smk-run"])
def test_signed_as_the_sdk_signs(policy, monkeypatch):
    monkeypatch.setattr(of_the_sdk, "X_MS_VERSION", API_VERSION)
    end = NOW + timedelta(hours=1)
    what = {"policy_id": policy} if policy else {"permission": "rcwdl", "start": NOW, "expiry": end}
    theirs = generate_container_sas("acme1", "box", account_key=KEY, protocol="https", **what)
    ours = (
        ContainerSas("acme1", "box", "https", policy=policy)
        if policy
        else ContainerSas("acme1", "box", "https", "rcwdl", NOW, end)
    )
    assert fields(ours.by_key(KEY)) == fields(theirs)


def test_a_delegated_sas_says_who_signed():
    key = UserDelegationKey()
    key.signed_oid, key.signed_tid, key.signed_service, key.signed_version = "oid", "tid", "b", API_VERSION
    key.signed_start, key.signed_expiry = "2026-11-22T11:45:00Z", "2026-11-29T11:45:00Z"
    key.value = base64.b64encode(b"key").decode()
    signed = fields(ContainerSas("acme1", "box", "https", "rl", NOW, NOW).by_delegation(key))
    assert (signed["skoid"], signed["sktid"], signed["sks"], signed["sp"]) == ("oid", "tid", "b", "rl")


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({CLOUD: []}), json.dumps({CLOUD: {"box": "x"}})])
def test_a_malformed_variable_is_named(text):
    with pytest.raises(BlobAccountError, match="AZ_BLOB_CONTAINER_SAS"):
        in_task({"AZ_BLOB_ACCOUNT_URL": CLOUD, "AZ_BLOB_CONTAINER_SAS": text})


@pytest.mark.parametrize("allowed", ["rl", "rcwl", "rwdl"])
def test_the_sas_is_tried_before_anybody_gets_it(owner, mine, monkeypatch, allowed):
    """All that tasks do, with the real service's answer; and nothing is left of it."""
    monkeypatch.setattr(node_access, "WRITE", allowed)
    monkeypatch.setattr(node_access, "POLICY_DELAY", 0.0)
    given = access(use(owner, **{mine[0]: True}))
    if allowed == "rwdl":
        assert given.environment()
    else:
        with pytest.raises(
            BlobError, match=rf"^az://{mine[0]}: the SAS that this run's tasks would get is refused"
        ):
            given.environment()
    left = {b.name for b in connect(owner).get_container_client(mine[0]).list_blobs()}
    assert left <= {"there", f"{RUN}.trial"}
    assert given.revoke()
