"""For how long requests are tried again: the policy with a clock by hand, and through the SDKs' own pipelines."""

import random
import threading

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from support.listening import Answer, listening

from snakemake.azure import retry
from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.client import Batch
from snakemake.azure.batch.errors import BatchError
from snakemake.azure.blob.account import AZURITE_KEY, BlobAccount
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.store import BlobStore
from snakemake.azure.login import Login

GONE = retry.Trouble("no connection", reached=False)
BUSY = retry.Trouble("HTTP status 503")


class Scene:
    """A service, and a process whose time passes only while it waits."""

    def __init__(self, seconds=3600.0, **options):
        self.now, self.said, self.pauses = 0.0, [], []
        self.stopping = threading.Event()
        self.patience = retry.Patience(
            seconds,
            stopping=self.stopping,
            clock=lambda: self.now,
            draw=random.Random(1).uniform,
            pause=self.pass_time,
            say=self.said.append,
            **options,
        )
        self.service = retry.Service("Azure Batch", patience=self.patience)

    def pass_time(self, seconds):
        self.now += seconds
        self.pauses.append(seconds)

    def suffer(self, trouble=BUSY, until=float("inf")):
        """A request that fails until then; the number of its attempts, None if it was given up."""
        attempts = self.service.attempts()
        while self.now < until:
            if not attempts.again(trouble):
                return None
        attempts.over()
        return attempts.count


def test_an_hour_is_an_hour_and_no_count():
    scene = Scene()
    assert scene.suffer() is None and scene.now == 3600
    assert scene.suffer(until=scene.now + 3599) > 100


def test_pauses_grow_to_a_limit_and_are_drawn():
    most = retry.Patience(draw=lambda low, high: high)
    ceilings = [most.pause_before(n) for n in range(1, 2000)]
    assert ceilings == sorted(ceilings)
    assert (ceilings[0], ceilings[-1]) == (retry.FIRST_PAUSE, retry.LONGEST_PAUSE)
    assert retry.Patience(draw=lambda low, high: low).pause_before(3) == 0


def test_a_service_that_never_answered_is_given_up_soon_and_later_it_is_not():
    scene = Scene()
    assert scene.suffer(GONE) is None and scene.now == retry.REACH
    assert scene.suffer(BUSY, until=scene.now + 100), "it was reached"
    assert scene.suffer(GONE, until=scene.now + 3000)
    assert Scene(unconditional=True).suffer(GONE, until=3000), "as in a task"


def test_it_is_said_once_that_it_waits_and_once_that_it_goes_on():
    scene = Scene()
    scene.suffer(until=3)
    assert scene.said == [], "nobody needs to hear of that"
    others = [scene.service.attempts() for _ in range(20)]
    begin = scene.now
    while scene.now < begin + 420:
        for attempts in others:
            attempts.again(BUSY)
    for attempts in others:
        attempts.over()
    waits, goes_on = scene.said
    assert "Azure Batch does not answer since" in waits and "(HTTP status 503)" in waits and "60 min" in waits
    assert "answers again, after" in goes_on and "min" in goes_on


def test_an_outage_and_its_end_are_noted():
    noted = []
    scene = Scene(note=lambda event, **values: noted.append((event, values["service"], values.get("why"))))
    scene.suffer(until=60)
    assert noted == [("outage", "Azure Batch", BUSY.what), ("outage_over", "Azure Batch", None)]
    assert scene.service.requests == 1


def test_an_outage_that_others_have_seen_the_end_of_is_not_said_again():
    scene = Scene()
    late = scene.service.attempts()
    late.again(BUSY)
    scene.suffer(until=60)
    scene.said.clear()
    late.again(BUSY)
    assert scene.said == []


@pytest.mark.parametrize("after", [0, 0.3, 100])
def test_a_run_that_is_to_stop_waits_no_longer(after):
    scene = Scene()
    attempts = scene.service.attempts()
    for _ in range(12):
        attempts.again(BUSY)
    end = scene.now + after
    scene.patience.pause = lambda s: (scene.pass_time(s), scene.now >= end and scene.stopping.set())
    while not scene.stopping.is_set():
        assert attempts.again(BUSY) or scene.stopping.is_set()
    assert scene.now <= end + 2 * retry.STEP and not attempts.again(BUSY)


def test_the_clean_up_goes_on_when_the_run_is_to_stop_and_has_its_own_time():
    scene = Scene()
    scene.service.has_answered = True
    scene.stopping.set()
    with scene.patience.closing(300):
        assert scene.suffer(GONE) is None and scene.now == 300
    with scene.patience.no_longer_than(300):
        assert scene.suffer() is None and scene.now == 300


def test_what_only_helps_is_not_waited_for():
    scene = Scene()
    with scene.patience.no_longer_than(2):
        assert scene.suffer() is None and scene.now == 2
    with scene.patience.no_longer_than(0):
        assert scene.suffer() is None and scene.now == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "70"}, 70),
        ({"x-ms-retry-after-ms": "45000"}, 45),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({}, 0),
    ],
)
def test_pauses_are_as_long_as_the_service_asks(headers, seconds):
    trouble = retry.of_answer(429, headers, "TooManyRequests")
    assert trouble == retry.Trouble("HTTP status 429 TooManyRequests", retry_after=seconds)
    scene = Scene()
    scene.service.attempts().again(trouble)
    assert round(sum(scene.pauses), 6) >= seconds


@pytest.mark.parametrize("status", [200, 304, 400, 401, 403, 404, 409, 412, 501, 505])
def test_answers_that_time_does_not_change(status):
    assert retry.of_answer(status, {"Retry-After": "5"}) is None


def test_which_failures_of_connections_time_heals():
    assert retry.of_error(ServiceRequestError("[Errno 111] Connection refused")) == GONE
    assert retry.of_error(ServiceResponseError("Read timed out")).what == "no answer in time"
    assert retry.of_error(HttpResponseError("Connection broken: IncompleteRead")).reached
    assert retry.of_error(ServiceRequestError("certificate: CERTIFICATE_VERIFY_FAILED")) is None
    assert retry.of_error(ClientAuthenticationError("no")) is None
    secret = ServiceRequestError("https://a.blob.core.windows.net/?sig=SECRET timed out")
    assert "SECRET" not in retry.of_error(secret).what


@pytest.fixture
def answers():
    """A server that gives these statuses, one after the other, and then 403."""
    statuses: list[int] = []
    seen: list[str] = []

    def answer(arrival):
        seen.append(arrival.method)
        status = statuses.pop(0) if statuses else 403
        return Answer(status, headers={"Content-Type": "application/json"})

    with listening(answer) as server:
        yield server.url, statuses, seen


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_both_services_go_by_the_same_policy(answers, status):
    """Twelve failures are more than any of the SDKs' counts."""
    url, statuses, seen = answers
    patience = retry.Patience(pause=lambda _: None)
    batch = Batch(BatchAccount(url, "a", "a2V5"), retry.Service("Batch", True, patience))
    for request in (
        lambda: batch.get_pool("p"),
        lambda: batch.delete_job("j"),
        lambda: batch.terminate_task("j", "t"),
    ):
        statuses[:], before = [status] * 12, len(seen)
        with pytest.raises(BatchError) as e:
            request()
        assert (e.value.status, len(seen) - before) == (403, 13)
    store = BlobStore(BlobAccount(f"{url}/a", "a", AZURITE_KEY), patience=patience)
    store.endpoint.attempts = lambda _: retry.Attempts(store.endpoint, lambda _: None)
    for request in (lambda: store.head("box", "x"), lambda: store.delete("box", "x")):
        statuses[:], before = [status] * 12, len(seen)
        with pytest.raises(BlobError) as b:
            request()
        assert (b.value.status, len(seen) - before) == (403, 13)


class Credential:
    def __init__(self, *errors):
        self.errors = list(errors)

    def get_token(self, *scopes, **options):
        if self.errors:
            raise self.errors.pop(0)
        return "token"


LOST = ClientAuthenticationError("Authentication failed: Failed to resolve 'login.microsoftonline.com'")


def test_a_login_that_worked_is_waited_for_while_it_can_not_be_reached():
    scene = Scene()
    assert (
        Login(Credential(ServiceRequestError("Connection refused")), scene.service).get_token("s") == "token"
    )
    assert Login(Credential(LOST, LOST), scene.service).get_token("s") == "token"
    refused = ClientAuthenticationError("AADSTS50173: The provided grant has expired")
    with pytest.raises(ClientAuthenticationError, match="AADSTS50173"):
        Login(Credential(LOST, refused), scene.service).get_token("s")


def test_a_login_that_never_worked_is_told_at_once():
    """Kinds of credentials that aren't there say so in many ways, time-outs among them."""
    scene = Scene()
    with pytest.raises(ClientAuthenticationError):
        Login(
            Credential(ClientAuthenticationError("no response from the IMDS endpoint: timed out")),
            scene.service,
        ).get_token("s")
    assert scene.now == 0
