"""The record of a run, and the lock that it is, against Azurite; the processes are real ones."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from azure.storage.blob import BlobLeaseClient

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.record import Found, LockLost, Record, RunLock, RunLocked, RunMade
from snakemake.azure.process import Process

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MADE = RunMade("run-1", ("pool",), (("job-1", "pool"),), "c/sources")


@pytest.fixture
def place(azurite):
    """Makes locks of one prefix, each with an account object of its own."""
    container = azurite.new_container().container_name

    def lock(say=lambda _: None, **options) -> RunLock:
        account = BlobAccount(url=azurite.url, name=azurite.account, key=azurite.key)
        return RunLock(account, f"{container}/deep/prefix", say, **options)

    return lock


def record(client: Process, *runs: RunMade) -> Record:
    return Record(client, "https://batch", runs)


def gone() -> Process:
    """A process of this machine that has ended."""
    code = "from snakemake.azure.process import Process; import json; print(json.dumps(Process.current().to_json()))"

    return Process.from_json(
        json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    )


def elsewhere() -> Process:
    return replace(Process.current(NOW), host="elsewhere")


def test_what_was_written_is_read():
    written = replace(record(Process.current(NOW), MADE), detached=True)
    assert Record.from_json(written.to_json()) == written
    assert Record.from_json(b"{}") is None
    assert Record.from_json(b"\xff") is None


def test_a_process_is_gone_when_it_ended_or_its_id_is_anothers():
    assert not Process.current().is_gone
    assert gone().is_gone
    assert replace(Process.current(), started=1.0).is_gone
    assert not replace(gone(), boot="another").is_gone


def test_one_has_it(place):
    one, other = place(), place()
    assert one.acquire(record(Process.current(NOW), MADE)) is None
    with pytest.raises(
        RunLocked, match=r"the run run-1 of \S+@\S+ \(process \d+\), since 2026-01-01 00:00:00 UTC"
    ):
        other.acquire(record(elsewhere()))
    one.release()
    assert other.acquire(record(elsewhere())) is None


def test_of_two_that_come_at_once_one_has_it(place, monkeypatch):
    one, other = place(), place()
    monkeypatch.setattr(other, "wait", lambda: one.acquire(record(Process.current(NOW))))
    with pytest.raises(RunLocked):
        other.acquire(record(elsewhere()))
    one.renew()


def test_a_client_that_is_gone_loses_it_at_once(place):
    said: list[str] = []
    dead = record(gone(), MADE)
    place().acquire(dead)
    assert place(said.append).acquire(record(Process.current(NOW))) == dead
    assert said == []


def test_one_elsewhere_loses_it_when_its_time_is_over(place):
    said: list[str] = []
    first = place()
    first.acquire(record(elsewhere(), MADE))
    # It is renewed once while the other waits, and then no more: given back stands for run out.
    steps = iter([first.renew, lambda: first.release(delete=False)])
    second = place(said.append, pause=lambda _: next(steps)())
    assert second.acquire(record(Process.current(NOW))) == record(elsewhere(), MADE)
    assert len(said) == 1 and "waiting up to 30 seconds" in said[0] and "@elsewhere" in said[0]


def test_one_elsewhere_that_lives_keeps_it(place):
    first = place()
    first.acquire(record(elsewhere(), MADE))
    time = iter(range(0, 1000, 7))
    second = place(pause=lambda _: first.renew(), now=lambda: next(time))
    with pytest.raises(RunLocked, match="@elsewhere"):
        second.acquire(record(Process.current(NOW)))


def test_who_lost_it_hears_so_and_spoils_nothing(place):
    lost, mine = place(), place()
    lost.acquire(record(gone()))
    mine.acquire(record(Process.current(NOW), MADE))
    for use in (lost.renew, lambda: lost.write(record(gone()))):
        with pytest.raises(LockLost, match="taken over az://"):
            use()
    lost.release()
    assert mine.read().record.runs == (MADE,)
    mine.write(record(Process.current(NOW)))
    assert mine.read().record.runs == ()


@pytest.mark.parametrize("delete", [True, False])
def test_a_lock_that_ran_out_and_that_nobody_has_taken_is_still_the_runs(place, delete):
    """As after an outage that was longer than it lasts."""
    lock, mine = place(), record(Process.current(NOW))
    lock.acquire(mine)

    def run_out():
        with lock._blob() as blob:
            BlobLeaseClient(blob).break_lease(lease_break_period=0)
        assert not place().read().locked

    run_out()
    lock.renew()
    assert place().read().locked
    run_out()
    lock.write(replace(mine, runs=(MADE,)))
    assert place().read() == Found(replace(mine, runs=(MADE,)), True)
    run_out()
    lock.release(delete)
    assert place().read() == (None if delete else Found(replace(mine, runs=(MADE,)), False))
