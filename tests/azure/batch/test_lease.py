"""When pools are asked for what: the leases' table of time; and that their thread waits for nobody."""

import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from support.emulator import wait_until

from snakemake.azure.batch.lease import APART, PoolLeases, Renewals, Size, formula
from snakemake.azure.batch.service_clock import ServiceClock
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.record import LockLost

START = datetime(2026, 1, 1, tzinfo=UTC)


def minutes(n) -> datetime:
    return START + timedelta(minutes=n)


@pytest.fixture
def leases() -> PoolLeases:
    leases = PoolLeases(timedelta(minutes=30))
    leases.first("pool", Size(2), START)
    return leases


def test_the_formula_holds_a_size_until_then():
    text = formula(Size(3, 1), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert 'time("2026-01-02T03:04:05Z")' in text and "held ? 3 : 0" in text and "held ? 1 : 0" in text
    assert "taskcompletion" in text


def test_a_third_of_the_lease_passes_between_renewals(leases):
    assert leases.due(minutes(9.9)) == []
    (renewal,) = leases.due(minutes(10))
    assert (renewal.size, renewal.until, renewal.changes) == (Size(2), minutes(40), False)
    leases.done(renewal, minutes(10))
    assert leases.due(minutes(19)) == []
    (second,) = leases.due(minutes(20))
    assert second.interval != renewal.interval, "a new interval starts a new schedule"


def test_a_new_size_is_asked_at_once_but_not_twice_in_30_seconds(leases):
    leases.set_size("pool", Size(3))
    (renewal,) = leases.due(minutes(1))
    assert renewal.changes and renewal.until == minutes(31)
    leases.done(renewal, minutes(1))
    leases.set_size("pool", Size(4))
    leases.set_size("pool", Size(5))
    assert leases.due(minutes(1) + timedelta(seconds=30)) == []
    assert [r.size for r in leases.due(minutes(1) + APART)] == [Size(5)]


def test_what_failed_is_tried_again(leases):
    leases.set_size("pool", Size(3))
    (renewal,) = leases.due(START)
    leases.failed(renewal, START, too_early=False)
    assert leases.due(START) == [] and len(leases.due(START + timedelta(seconds=10))) == 1
    leases.failed(renewal, START, too_early=True)
    assert leases.due(START + timedelta(seconds=30)) == [] and len(leases.due(START + APART)) == 1


def test_the_same_size_can_be_asked_for_again(leases):
    leases.set_size("pool", Size(2))
    assert leases.due(minutes(1)) == []
    leases.set_size("pool", Size(2), again=True)
    assert len(leases.due(minutes(1))) == 1


def test_a_pool_that_was_taken_over_is_renewed_at_once_and_a_forgotten_one_never(leases):
    leases.take_over("old", Size(7))
    assert [r.pool_id for r in leases.due(START)] == ["old"]
    leases.forget("old")
    leases.forget("pool")
    leases.set_size("pool", Size(9))
    assert leases.due(minutes(100)) == [] and leases.size("pool") is None


def test_the_services_time_goes_on_from_its_last_answer():
    seconds = [0.0]
    clock = ServiceClock(lambda: seconds[0], lambda: START)
    assert clock.now() == START
    for date in ("Fri, 02 Jan 2026 00:00:00 GMT", "soon", None):
        clock.hear(SimpleNamespace(http_response=SimpleNamespace(headers={"Date": date} if date else {})))
    seconds[0] = 90.0
    assert clock.now() == datetime(2026, 1, 2, 0, 1, 30, tzinfo=UTC)


class Service:
    """Batch, as far as leases ask it; `answers` are given one after the other, the last one for good."""

    def __init__(self, *answers):
        self.answers = list(answers) or ["done"]
        self.asked: list[str] = []
        self.extended: list[str] = []

    def scale_pool(self, pool_id, formula, interval):
        self.asked.append(pool_id)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def extend_job(self, job_id, longer):
        self.extended.append(job_id)


class Running:
    def __init__(self, service, leases, renew_lock=lambda: None):
        self.now, self.lost, self.said, self.looked = START, [], [], []
        self.renewals = Renewals(
            service,
            leases,
            now=lambda: self.now,
            jobs=lambda: self.looked.append("") or ["job"],
            renew_lock=renew_lock,
            lock_every=0.01,
            fatal=LockLost,
            lost=self.lost.append,
            say=self.said.append,
        )
        self.renewals.start()

    def until(self, predicate):
        def done():
            self.renewals.wake()
            return predicate()

        wait_until(done)


@pytest.fixture
def running():
    made: list[Running] = []

    def make(*args, **options):
        made.append(Running(*args, **options))
        return made[-1]

    yield make
    for each in made:
        each.renewals.stop()


def test_the_thread_asks_again_after_errors_and_says_what_changes(leases, running):
    service = Service(BlobError("no"), "too early", "done")
    run = running(service, leases)
    leases.set_size("pool", Size(3))
    for n in range(1, 4):
        run.until(lambda n=n: len(service.asked) >= n)
        run.now += APART
    run.until(lambda: run.said)
    assert run.said == ["Azure Batch: resizing the pool pool to 3 nodes."]


def test_a_size_is_said_with_its_spot_nodes():
    sizes = [Size(3), Size(0, 2), Size(1, 2), Size(0)]
    assert list(map(str, sizes)) == ["3 nodes", "2 Spot nodes", "1 nodes and 2 Spot nodes", "0 nodes"]


def test_a_pool_that_is_gone_is_forgotten(leases, running):
    service = Service("gone")
    run = running(service, leases)
    run.now = minutes(10)
    run.until(lambda: leases.size("pool") is None)


def test_batch_jobs_are_extended_now_and_then(leases, running):
    service = Service()
    run = running(service, leases)
    run.until(lambda: len(run.looked) > 1)
    run.now = START + timedelta(days=1)
    run.until(lambda: service.extended == ["job"])


def test_the_lock_is_renewed_while_batch_does_not_answer_and_its_loss_is_told(leases, running):
    stuck, renewed = threading.Event(), []

    class Stuck(Service):
        def scale_pool(self, *args):
            stuck.wait(60)
            return "done"

    def renew():
        renewed.append(1)
        if len(renewed) == 2:
            raise BlobError("this may pass")
        if len(renewed) == 5:
            raise LockLost("another run")

    leases.take_over("old", Size(1))
    run = running(Stuck(), leases, renew)
    wait_until(lambda: run.lost)
    stuck.set()
    assert len(renewed) == 5 and str(run.lost[0]) == "another run"
