"""A client that is killed: the next run takes over what still runs, ends what no longer fits, and leaves nothing."""

import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from azure.storage.blob import BlobLeaseClient
from support.emulator import wait_until

from snakemake.azure.blob import policies
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.record import Record, RunLock
from snakemake.azure.process import Process

ONE = """
rule one:
    output: "o.txt"
    params: tag=config["tag"]
    shell: "{held}; echo {{params.tag}} > {{output}}; echo x >> {ledger}"
"""


def kill(process) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(30)


def states(site) -> list[str]:
    return [str(task.state).rpartition(".")[2].lower() for task in site.tasks()]


def ledger(site) -> list[str]:
    """A line for each command of a rule that came to its end."""
    path = site.workdir / "ledger"
    return path.read_text().split() if path.exists() else []


def test_what_still_runs_is_taken_over(site):
    site.write({"Snakefile": ONE.format(held=site.held(), ledger=site.workdir / "ledger")})
    with site.running("--config", "tag=old") as first:
        wait_until(lambda: "running" in states(site))
        kill(first)
    dry = site.run("-n", "--config", "tag=old")
    assert dry.code == 0 and "would be a run that takes over 1 tasks that wait or run" in dry.output, (
        dry.output
    )
    with site.running("--config", "tag=old") as second:
        wait_until(lambda: "takes over 1 tasks that wait or run" in site.output())
        site.let_go()
        assert second.wait(60) == 0, site.output()
    assert site.read("o.txt") == "old\n" and ledger(site) == ["x"]
    site.assert_clean()


def test_what_no_longer_fits_is_ended_and_writes_nothing(site):
    """The dead run's task would write over what the next run has made."""
    site.write({"Snakefile": ONE.format(held=site.held(), ledger=site.workdir / "ledger")})
    with site.running("--config", "tag=old") as first:
        wait_until(lambda: "running" in states(site))
        kill(first)
    with site.running("--config", "tag=new") as second:
        wait_until(lambda: "ends 1 tasks that no longer fit" in site.output())
        wait_until(lambda: len(site.tasks()) == 1 and "running" in states(site))
        site.let_go()
        assert second.wait(60) == 0, site.output()
    assert site.read("o.txt") == "new\n" and ledger(site) == ["x"]
    site.assert_clean()


def test_what_finished_meanwhile_is_not_run_again(site):
    site.write({"Snakefile": ONE.format(held=site.held(), ledger=site.workdir / "ledger")})
    with site.running("--config", "tag=old") as first:
        wait_until(lambda: "running" in states(site))
        kill(first)
    site.let_go()
    wait_until(lambda: states(site) == ["completed"])
    done = site.run("--config", "tag=old")
    assert done.code == 0 and "takes over 1 tasks that have succeeded" in done.output, done.output
    assert site.read("o.txt") == "old\n" and ledger(site) == ["x"]
    site.assert_clean()
    again = site.run("--config", "tag=old")
    assert again.code == 0 and "Nothing to be done" in again.output, again.output


def test_a_second_live_run_is_refused(site):
    site.write({"Snakefile": ONE.format(held=site.held(), ledger=site.workdir / "ledger")})
    with site.running("--config", "tag=old") as first:
        wait_until(lambda: "running" in states(site))
        before = site.left()
        other = site.workdir.with_name("other")
        other.mkdir()
        (other / "Snakefile").write_text((site.workdir / "Snakefile").read_text())
        here, site.workdir = site.workdir, other
        refused = site.run("--config", "tag=new")
        dry = site.run("-n", "--config", "tag=new")
        site.workdir = here
        assert refused.code == 1 and "Traceback" not in refused.output
        assert f"(process {first.pid}), since " in refused.output and site.prefix in refused.output
        assert dry.code == 0 and "a run would be refused" in dry.output
        assert site.left() == before
        site.let_go()
        assert first.wait(60) == 0
    assert site.read("o.txt") == "old\n"
    site.assert_clean()


def test_another_machine_finds_it_too(site):
    """It has no records of its own, and an output of earlier looks complete to it."""
    site.write({"Snakefile": ONE.format(held=site.held(), ledger=site.workdir / "ledger")})
    site.put("o.txt", b"earlier")
    with site.running("--config", "tag=old", "--forceall") as first:
        wait_until(lambda: "running" in states(site))
        kill(first)
    other = site.workdir.with_name("other")
    other.mkdir()
    (other / "Snakefile").write_text((site.workdir / "Snakefile").read_text())
    here, site.workdir = site.workdir, other
    with site.running("--config", "tag=old") as second:
        wait_until(lambda: "takes over 1 tasks that wait or run" in site.output())
        (here / "go").touch()
        assert second.wait(60) == 0, site.output()
    site.workdir = here
    assert site.read("o.txt") == "old\n" and ledger(site) == ["x"]
    site.assert_clean()


def test_tasks_whose_input_has_changed_are_ended(site):
    site.put("in.txt", b"first")
    site.write(
        {
            "Snakefile": f"""
rule one:
    input: "in.txt"
    output: "o.txt"
    shell: "cp {{input}} {{output}}; {site.held()}"
"""
        }
    )
    with site.running() as first:
        wait_until(lambda: "running" in states(site))
        kill(first)
    created = site.tasks()[0].creation_time.timestamp()
    wait_until(lambda: time.time() > created + 1)
    site.put("in.txt", b"second")
    with site.running() as second:
        wait_until(lambda: "ends 1 tasks that no longer fit" in site.output())
        site.let_go()
        assert second.wait(60) == 0, site.output()
    assert site.read("o.txt") == "second"
    site.assert_clean()


def test_a_client_that_lost_its_lock_ends_and_deletes_nothing(site):
    """It had no line to storage for so long that another run could begin, here on another machine."""
    site.write({"Snakefile": ONE.format(held=site.held(), ledger=site.workdir / "ledger")})
    account = BlobAccount(url=site.azurite.url, name=site.azurite.account, key=site.azurite.key)
    with site.running("--config", "tag=old") as first:
        wait_until(lambda: "running" in states(site))
        before = set(site.left())
        lock = RunLock(account, site.prefix.removeprefix("az://"), print)
        blob = site.container.get_blob_client("run/.snakemake-azbatch/run.json")
        BlobLeaseClient(blob).break_lease(lease_break_period=0)
        lock.acquire(Record(replace(Process.current(), host="elsewhere"), site.emulator.url))
        assert first.wait(60) == 1
    assert "Another run has taken over" in site.output() and "Traceback" not in site.output()
    assert set(site.left()) == before and states(site) == ["running"]
    assert len(lock.read().record.runs) == 1, "the other run has found it"
    lock.release(delete=False)
    with site.running("--config", "tag=old") as next_run:
        wait_until(lambda: "takes over 1 tasks that wait or run" in site.output())
        site.let_go()
        assert next_run.wait(60) == 0, site.output()
    site.assert_clean()


def test_detached_tasks_go_on_for_the_next_run(site):
    site.write({"Snakefile": ONE.format(held=site.held(), ledger=site.workdir / "ledger")})
    with site.running("--config", "tag=old", "--az-batch-on-exit", "detach") as first:
        wait_until(lambda: "running" in states(site))
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 1
    assert "the tasks go on without this client" in site.output() and "Traceback" not in site.output()
    assert states(site) == ["running"]
    listed = site.run(command=[*site.sweep(), "list"])
    assert listed.code == 0 and "detached, for the next run" in listed.output
    untouched = site.run(command=[*site.sweep(), "delete"])
    assert untouched.code == 0 and states(site) == ["running"], untouched.output
    with site.running("--config", "tag=old") as second:
        wait_until(lambda: "takes over 1 tasks that wait or run" in site.output())
        site.let_go()
        assert second.wait(60) == 0, site.output()
    assert site.read("o.txt") == "old\n" and ledger(site) == ["x"]
    site.assert_clean()


def test_a_run_that_ends_badly_detaches_nothing(site):
    site.write({"Snakefile": 'rule one:\n    output: "o"\n    shell: "exit 3"\n'})
    assert site.run("--az-batch-on-exit", "detach").code == 1
    site.assert_clean()


def test_the_sweep_deletes_what_the_dead_left_and_nothing_else(site):
    site.write({"Snakefile": ONE.format(held=site.held(), ledger=site.workdir / "ledger")})
    with site.running("--config", "tag=old") as first:
        wait_until(lambda: "running" in states(site))
        before = site.left()
        alive = site.run(command=[*site.sweep(), "delete"])
        assert alive.code == 0 and "goes on: not touched" in alive.output, alive.output
        assert site.left() == before
        kill(first)
    listed = site.run(command=site.sweep())
    assert listed.code == 0 and site.left() == before
    for name in before:
        if not name.endswith("run.json"):
            assert name.rpartition("/")[2].split()[-1] in listed.output, (name, listed.output)
    assert "1 nodes of Standard_D4ads_v5 for 0.0 node-hours" in listed.output
    deleted = site.run(command=[*site.sweep(), "delete"])
    assert deleted.code == 0, deleted.output
    site.assert_clean()
    assert "No run has left anything" in site.run(command=site.sweep()).output


def test_a_policy_of_a_run_with_nothing_else_goes_when_its_time_is_over(site):
    now = datetime.now(UTC)
    for name, end in (("smk-over", now - timedelta(hours=1)), ("smk-elsewhere", now + timedelta(hours=1))):
        policies.store(site.container, name, "r", now - timedelta(hours=2), end, now - timedelta(days=1))
    command = [*site.sweep(), "delete", "--default-storage-prefix", site.prefix]
    done = site.run(command=[*command, "--default-storage-provider", "azblob"])
    assert done.code == 0 and "smk-elsewhere (not known to be over" in done.output, done.output
    assert site.left() == ["policy smk-elsewhere"]
