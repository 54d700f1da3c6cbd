"""Broken nodes in whole runs: they are removed, others come in their places, and no pool stays without a lease."""

import json
import signal
from contextlib import ExitStack, contextmanager
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
@pytest.fixture
def fast(site):
    """A site whose service lives a minute in a second."""
    with running_emulator(time_scale=60) as emulator:
        yield replace(site, emulator=emulator, environ=site.environ | emulator.environment())


def fail(site, **faults):
    """Plans faults of what comes next."""
    request = HttpRequest("POST", f"{site.emulator.url}/-/faults", json=faults)
    site.emulator.client().send_request(request).raise_for_status()


def write(site, held="true", start="true\n"):
    site.write({"Snakefile": MANY.replace("HELD", held), "start.sh": start})


def nodes(site) -> dict[str, str]:
    client = site.emulator.client()
    return {node.id: str(node.state) for p in client.list_pools() for node in client.list_nodes(p.id)}


def pool(site):
    return next(iter(site.emulator.client().list_pools()), None)


def broken(site) -> list[str]:
    return [name for name, state in nodes(site).items() if state == "starttaskfailed"]


def events(site, name) -> list[dict]:
    (journal,) = (site.workdir / ".snakemake" / "azure_batch").glob("*.jsonl")
    return [e for e in map(json.loads, journal.read_text().splitlines()) if e["event"] == name]


def test_the_only_node_that_a_pool_may_have(fast):
    write(fast, held=fast.held())
    fail(fast, startTasks=TRIES)
    with fast.running(az_batch_start_task="start.sh", az_batch_nodes="1") as process:
        (bad,) = wait_until(lambda: broken(fast), timeout=60)
        wait_until(lambda: "running" in {task.state for task in fast.tasks()}, timeout=90)
        assert bad not in nodes(fast) and len(nodes(fast)) == 1
        fast.let_go()
        assert process.wait(120) == 0, fast.output()[-3000:]
    print(fast.output())
    assert fast.output().count(f"the node {bad} of the pool") == 1
    assert "Error in rule" not in fast.output()
    (removed,) = events(fast, "node_removed")
    assert removed["node"] == bad and "start task" in removed["why"]
    assert [fast.read(str(i)) for i in range(6)] == [f"{i}\n" for i in range(6)]
    fast.assert_clean()
