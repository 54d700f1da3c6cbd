"""Broken nodes in whole runs: they are removed, others come in their places, and no pool is left without a lease."""

import json
import re
import signal
from dataclasses import replace

import pytest
from azure.core.rest import HttpRequest
from support.emulator import running_emulator, wait_until

MANY = """
rule all:
    input: expand("{i}", i=range(6))
rule one:
    output: "{i}"
    threads: 4
    shell: "HELD; echo {wildcards.i} > {output}"
"""
FIRST = """
(set -C; echo $AZ_BATCH_NODE_ID > WORKDIR/first) 2>/dev/null
test "$AZ_BATCH_NODE_ID" != $(cat WORKDIR/first)
"""
"""A start task that fails on the first node that runs it."""


@pytest.fixture
def fast(site):
    """A site whose service lives twenty seconds in a second."""
    with running_emulator(time_scale=20) as emulator:
        yield replace(site, emulator=emulator, environ=site.environ | emulator.environment())


@pytest.fixture
def slow(site, tmp_path):
    """A site whose nodes take eight seconds to leave; its service lives ten in a second."""
    profile = tmp_path / "slow.json"
    delays = {f"{name}Seconds": [0.05, 0.1] for name in ("allocation", "boot")} | {"removalSeconds": [80, 80]}
    profile.write_text(json.dumps(delays))
    with running_emulator(profile=profile, time_scale=10) as emulator:
        yield replace(site, emulator=emulator, environ=site.environ | emulator.environment())


def control(site, path, **body):
    request = HttpRequest("POST", f"{site.emulator.url}/-/{path}", json=body)
    site.emulator.client().send_request(request).raise_for_status()


def write(site, held="true", start=FIRST):
    start = start.replace("WORKDIR", str(site.workdir))
    site.write({"Snakefile": MANY.replace("HELD", held), "start.sh": start})


def pool(site):
    return next(iter(site.emulator.client().list_pools()), None)


def nodes(site, state=None) -> list[str]:
    """Ids of all nodes, or of those in a state."""
    client = site.emulator.client()
    found = [node for p in client.list_pools() for node in client.list_nodes(p.id)]
    return [node.id for node in found if state in (None, node.state)]


def is_running(site) -> bool:
    return "running" in {task.state for task in site.tasks()}


def removed(site) -> list[dict]:
    (journal,) = (site.workdir / ".snakemake" / "azure_batch").glob("*.jsonl")
    events = map(json.loads, journal.read_text().splitlines())
    return [event for event in events if event["event"] == "node_removed"]


def assert_well(site, process, bad):
    """The run ends well; one node was removed, and that was told once."""
    assert process.wait(240) == 0, site.output()[-3000:]
    output = site.output()
    assert output.count(f"the node {bad} of the pool") == 1, output
    assert "Error in rule" not in output and "Traceback" not in output
    assert [event["node"] for event in removed(site)] == [bad]
    assert [site.read(str(i)) for i in range(6)] == [f"{i}\n" for i in range(6)]
    site.assert_clean()


@pytest.mark.parametrize("most", ["1", "3"])
def test_a_node_whose_start_task_fails(fast, most):
    """The only one that the pool may have, and one of three."""
    write(fast, held=fast.held())
    options = {"az_batch_start_task": "start.sh", "az_batch_report": "report.html"}
    with fast.running(az_batch_nodes=most, **options) as process:
        (bad,) = wait_until(lambda: nodes(fast, "starttaskfailed"))
        wait_until(lambda: len(nodes(fast, "running")) == int(most))
        assert bad not in nodes(fast) and pool(fast).enable_auto_scale and is_running(fast)
        assert len(nodes(fast)) == pool(fast).target_dedicated_nodes == int(most)
        fast.let_go()
        assert_well(fast, process, bad)
    assert re.search(r"is unusable: start task: \w+.*It is removed, and another one asked for", fast.output())
    assert "start task" in removed(fast)[0]["why"]
    assert re.search(rf"Node removed.*{bad}", (fast.workdir / "report.html").read_text())


@pytest.mark.parametrize("most", ["1", "2"])
def test_a_node_on_which_every_command_fails(fast, most):
    """What begins after it waits until the node is gone."""
    last = fast.workdir / "last"
    write(
        fast,
        f"test -e {fast.workdir}/go || touch {last}-$$; {fast.held()}; "
        f"test -e {last}-$$ || until test -e {last}; do sleep 0.05; done",
    )
    with fast.running(az_batch_nodes=most) as process:
        wait_until(lambda: len(list(fast.workdir.glob("last-*"))) == int(most))
        bad = nodes(fast, "running")[0]
        control(fast, f"pools/{pool(fast).id}/nodes/{bad}/spoil")
        fast.let_go()
        wait_until(lambda: bad not in nodes(fast))
        wait_until(lambda: is_running(fast))
        last.touch()
        assert_well(fast, process, bad)
    assert "It gets no more tasks. It is removed when it has none." in fast.output()
    assert "could not be started there" in removed(fast)[0]["why"]


def test_three_nodes_that_break_in_the_same_way_are_enough(fast):
    write(fast, start="echo the disk is odd >&2; exit 3\n")
    result = fast.run(az_batch_start_task="start.sh", az_batch_nodes="1", timeout=240)
    assert result.code == 1 and "Traceback" not in result.output
    assert result.output.count("is unusable: start task") == 3
    assert result.output.count("It is removed") == len(removed(fast)) == 2
    assert "The end of its stderr: the disk is odd" in result.output
    assert "Check the script of --az-batch-start-task." in result.output
    fast.assert_clean()


def ended_without_lease(site, number, **options) -> int:
    """The exit code of a client that gets the signal while its pool has no formula."""
    write(site, held=site.held())
    with site.running(az_batch_start_task="start.sh", az_batch_nodes="1", **options) as process:
        wait_until(lambda: pool(site) and pool(site).enable_auto_scale is False)
        process.send_signal(number)
        return process.wait(240)


def test_a_client_that_dies_while_its_pool_has_no_lease_and_the_sweep(slow):
    ended_without_lease(slow, signal.SIGKILL)
    listed = slow.run(command=slow.sweep())
    assert f"pool {pool(slow).id}, which has no lease: its nodes stay until it is deleted" in listed.output
    deleted = slow.run(command=[*slow.sweep(), "delete"])
    assert deleted.code == 0, deleted.output
    slow.assert_clean()


def test_a_client_that_dies_while_its_pool_has_no_lease_and_the_next_run(slow):
    ended_without_lease(slow, signal.SIGKILL)
    left = pool(slow).id
    with slow.running(az_batch_start_task="start.sh", az_batch_nodes="1") as process:
        wait_until(lambda: pool(slow).enable_auto_scale)
        assert pool(slow).id == left and "takes over" in slow.output()
        slow.let_go()
        assert process.wait(240) == 0, slow.output()[-3000:]
    slow.assert_clean()


def test_a_client_that_leaves_its_tasks_gives_the_lease_back_first(slow):
    assert ended_without_lease(slow, signal.SIGINT, az_batch_on_exit="detach") == 1
    assert pool(slow).enable_auto_scale and "held" in pool(slow).auto_scale_formula
    assert "the tasks go on without this client" in slow.output()


def test_a_pool_that_is_kept_has_its_lease_at_the_end(slow):
    assert ended_without_lease(slow, signal.SIGINT, az_batch_keep_pool="30") == 1
    assert pool(slow).enable_auto_scale and "kept the pool" in slow.output(), slow.output()
    assert "snakemake-kept-until" in {item.name for item in pool(slow).metadata}
