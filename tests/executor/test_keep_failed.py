"""Nodes that are kept for a failed task, on an emulator whose clock runs sixty times as fast."""

import re
import signal
from dataclasses import replace

import pytest
from support.emulator import running_emulator, wait_until

FAILS = """
rule all:
    input: {wanted}
rule fails:
    output: "f{{i}}.txt"
    shell: "echo seen > made.txt; touch $TMPDIR/half-done; exit 3"
rule goes:
    output: touch("g{{i}}.txt")
    threads: 4
    shell: "{held}"
"""
SAID = re.compile(r"the node (\S+) of the pool (\S+) is kept until .*? for the task (\S+), .*?--job-id (\S+)")


@pytest.fixture
def fast(site):
    """A site whose service lives a minute in a second."""
    with running_emulator(time_scale=60) as emulator:
        yield replace(site, emulator=emulator, environ=site.environ | emulator.environment())


def write(site, *wanted):
    site.write({"Snakefile": FAILS.format(wanted=list(wanted), held=site.held())})


def nodes(site) -> list:
    client = site.emulator.client()
    return [node for pool in client.list_pools() for node in client.list_nodes(pool.id)]


def kept(output):
    found = SAID.search(output)
    assert found, output
    return found.groups()


def test_the_node_stays_after_the_run_and_others_leave_it_alone(site):
    write(site, "f1.txt")
    site.let_go()
    result = site.run("--az-batch-keep-failed", "60")
    assert result.code == 1 and "Traceback" not in result.output
    node, pool, task, job = kept(result.output)
    assert [(there.id, str(there.state.value)) for there in nodes(site)] == [(node, "offline")]
    client = site.emulator.client()
    assert b"".join(client.download_task_file(job, task, "wd/made.txt")) == b"seen\n"
    names = [file.name for file in client.list_task_files(job, task, recursive=True)]
    assert any(name.startswith("wd/.snakemake/scratch/") and name.endswith("half-done") for name in names), (
        names
    )
    assert sorted(site.left()) == [f"job {job}", f"pool {pool}"]
    swept = site.run(command=[*site.sweep(), "delete"])
    assert "the node of a failed task is kept: not touched" in swept.output, swept.output
    write(site, "g1.txt")
    again = site.run()  # in a pool of its own
    assert again.code == 0 and f"deleted the pool {pool}," not in again.output, again.output
    assert node in {there.id for there in nodes(site)}
    assert client.get_pool(pool).auto_scale_formula.count("retaineddata") == 1


def test_it_goes_by_itself_and_the_next_run_deletes_what_is_left(fast):
    write(fast, "f1.txt", "g1.txt")
    fast.let_go()
    result = fast.run("--keep-going", "--az-batch-keep-failed", "40")
    assert result.code == 1
    node, pool, _, _ = kept(result.output)
    client = fast.emulator.client()
    # The service makes the pool smaller, and takes of two nodes the one that runs no tasks; it stays all the same.
    wait_until(
        lambda: (
            client.get_pool(pool).target_dedicated_nodes == 1 and node in {there.id for there in nodes(fast)}
        )
    )
    wait_until(lambda: not nodes(fast), timeout=180)
    last = fast.run("--forceall", "g1.txt")
    assert last.code == 0 and f"deleted the pool {pool}, which the run" in last.output, last.output
    fast.assert_clean()


def test_without_its_client_the_node_goes_when_its_time_and_the_lease_are_over(fast):
    write(fast, "f1.txt", "g1.txt")
    with fast.running("--keep-going", "--az-batch-keep-failed", "20", "--az-batch-lease", "10") as process:
        wait_until(lambda: "is kept until" in fast.output())
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    node = kept(fast.output())[0]
    assert node in {there.id for there in nodes(fast)}
    fast.let_go()
    wait_until(lambda: not nodes(fast), timeout=180)


def test_while_it_is_kept_its_pool_does_not_shrink_and_others_go_on_elsewhere(site):
    write(site, "f1.txt", "f2.txt", *(f"g{i}.txt" for i in range(2)))
    with site.running("--keep-going", "--az-batch-keep-failed", "30", "--az-batch-nodes", "3") as process:
        wait_until(lambda: "is kept until" in site.output())
        wait_until(
            lambda: (
                sum(t.id.startswith("goes") and "running" in str(t.state).lower() for t in site.tasks()) == 2
            )
        )
        node, pool, _, job = kept(site.output())
        assert node in {there.id for there in nodes(site)}
        site.let_go()
        assert process.wait(120) == 1, site.output()
    assert site.output().count("is kept until") == 1, "one for each rule"
    assert node in {there.id for there in nodes(site)}
    assert f"az batch pool delete --pool-id {pool}" in site.output()


def test_ctrl_c_ends_the_jobs_and_leaves_the_node(site):
    write(site, "f1.txt", "g1.txt")
    with site.running("--keep-going", "--az-batch-keep-failed", "30") as process:
        wait_until(lambda: "is kept until" in site.output())
        node, _, task, job = kept(site.output())
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 1
    assert node in {there.id for there in nodes(site)} and "stays until" in site.output()
    client = site.emulator.client()
    assert b"".join(client.download_task_file(job, task, "wd/made.txt")) == b"seen\n"
    wait_until(lambda: not [t for t in site.tasks() if "running" in str(t.state).lower()])


def test_a_job_with_attempts_left_keeps_none(site):
    site.write(
        {
            "Snakefile": """
rule fails:
    output: "x.txt"
    retries: 1
    shell: "[ {resources.number} = 2 ] && touch {output}"
""".replace("retries: 1", "retries: 1\n    resources: number=lambda w, attempt: attempt")
        }
    )
    result = site.run("--az-batch-keep-failed", "30")
    assert result.code == 0 and "is kept until" not in result.output, result.output
    site.assert_clean()


@pytest.mark.parametrize(
    "options, says",
    [
        (["--az-batch-keep-failed", "1"], "--az-batch-keep-failed 1 is out of bounds"),
        (
            ["--az-batch-keep-failed", "9", "--az-batch-keep-pool", "9"],
            "leave it out, or --az-batch-keep-pool",
        ),
        (["--az-batch-keep-failed", "9", "--az-batch-autoscale"], "leave it out, or --az-batch-autoscale"),
        (
            ["--az-batch-keep-failed", "9", "--az-batch-pool-id", "p"],
            "--az-batch-keep-failed is for a new pool",
        ),
    ],
)
def test_what_can_not_be_kept_is_told_before_anything_is_made(site, options, says):
    write(site, "f1.txt")
    result = site.run(*options)
    assert result.code == 1 and says in result.output and "Traceback" not in result.output, result.output
    site.assert_clean()
