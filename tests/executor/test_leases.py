"""Pools under their lease, on an emulator whose clock runs sixty times as fast."""

import signal
from dataclasses import replace
from datetime import timedelta

import pytest
from support.emulator import running_emulator, wait_until

HELD = """
rule one:
    output: "o.txt"
    shell: "{held}; touch {{output}}"
"""
LEASE = "10"  # minutes: ten seconds here


@pytest.fixture
def fast(site):
    """A site whose service lives a minute in a second."""
    with running_emulator(time_scale=60) as emulator:
        yield replace(site, emulator=emulator, environ=site.environ | emulator.environment())


def pool(site):
    return next(iter(site.emulator.client().list_pools()))


def running(site) -> bool:
    return any(str(task.state).lower().endswith("running") for task in site.tasks())


def test_without_its_client_a_pool_gives_back_its_nodes_when_running_tasks_have_ended(fast):
    fast.write({"Snakefile": HELD.format(held=fast.held())})
    with fast.running("--az-batch-lease", LEASE) as process:
        wait_until(lambda: running(fast))
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    wait_until(lambda: pool(fast).target_dedicated_nodes == 0)
    assert running(fast) and pool(fast).current_dedicated_nodes == 1, "the task comes to its end first"
    fast.let_go()
    wait_until(lambda: pool(fast).current_dedicated_nodes == 0)
    again = fast.run("--az-batch-lease", LEASE)
    assert again.code == 0 and "takes over 1 tasks that have succeeded" in again.output, again.output
    fast.assert_clean()


def test_a_client_that_lives_keeps_its_pool(fast):
    fast.write({"Snakefile": HELD.format(held=fast.held())})
    with fast.running("--az-batch-lease", LEASE) as process:
        wait_until(lambda: running(fast))
        made = pool(fast).creation_time
        # Twice the lease and an evaluation after it.
        wait_until(lambda: pool(fast).auto_scale_run.timestamp > made + timedelta(minutes=30))
        assert pool(fast).target_dedicated_nodes == 1
        fast.let_go()
        assert process.wait(60) == 0, fast.output()
    fast.assert_clean()


def test_a_pool_grows_under_its_lease(fast):
    fast.write(
        {
            "Snakefile": f"""
rule all:
    input: expand("{{i}}.out", i=range(8))
rule first:
    output: touch("first")
    shell: "true"
rule each:
    input: "first"
    output: touch("{{i}}.out")
    threads: 4
    shell: "{fast.held()}"
"""
        }
    )
    with fast.running("--az-batch-lease", LEASE, "--az-batch-nodes", "3") as process:
        wait_until(lambda: fast.tasks() and pool(fast).current_dedicated_nodes == 3)
        assert "resizing the pool" in fast.output()
        fast.let_go()
        assert process.wait(60) == 0, fast.output()
    fast.assert_clean()
