"""Pools go with the work while a run goes on, on an emulator whose clock runs sixty times as fast."""

from dataclasses import replace

import pytest
from support.emulator import running_emulator, wait_until


@pytest.fixture
def fast(site):
    """A site whose service lives a minute in a second."""
    with running_emulator(time_scale=60) as emulator:
        yield replace(site, emulator=emulator, environ=site.environ | emulator.environment())


def nodes(site) -> int:
    return sum(pool.current_dedicated_nodes for pool in site.emulator.client().list_pools())


def test_a_pool_shrinks_to_one_node_while_its_last_job_runs(fast):
    fast.write(
        {
            "Snakefile": f"""
rule all:
    input: expand("{{i}}.out", i=range(4)), "last.out"
rule short:
    output: touch("{{i}}.out")
    threads: 4
    shell: "true"
rule last:
    output: touch("last.out")
    threads: 4
    shell: "{fast.held()}"
"""
        }
    )
    with fast.running("--az-batch-nodes", "5") as process:
        wait_until(lambda: nodes(fast) == 5)
        wait_until(lambda: nodes(fast) == 1)
        (task,) = [t for t in fast.tasks() if t.id.startswith("last")]
        assert str(task.state).lower().endswith("running") and not task.execution_info.requeue_count
        fast.let_go()
        assert process.wait(60) == 0, fast.output()
    assert "sizes stay" not in fast.output()
    fast.assert_clean()


def test_a_pool_has_no_nodes_while_only_the_client_works_and_then_some_again(fast):
    fast.write(
        {
            "Snakefile": f"""
localrules: here
rule all:
    input: "end.out"
rule first:
    output: touch("first.out")
    shell: "true"
rule here:
    input: "first.out"
    output: touch("here.out")
    shell: "{fast.held()}"
rule end:
    input: "here.out"
    output: touch("end.out")
    shell: "true"
"""
        }
    )
    with fast.running() as process:
        wait_until(lambda: nodes(fast) == 1)
        wait_until(lambda: nodes(fast) == 0)
        fast.let_go()
        assert process.wait(90) == 0, fast.output()
    assert "to 0 nodes" in fast.output() and "sizes stay" not in fast.output()
    fast.assert_clean()
