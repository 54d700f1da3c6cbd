"""Nodes that let tasks down: their tasks are sent again, the nodes are named and taken out, and a rule's failure stays one."""

import json
import re

from azure.core.rest import HttpRequest
from support.emulator import wait_until

# The first task spoils its node, which is then unable to lay out the workflow's sources for any other, and gets many of
# them, since they fail at once.
SPOILED = """
rule all:
    input: expand("part/{i}.txt", i=range(12))

rule part:
    output: "part/{i}.txt"
    shell:
        "if mkdir WORKDIR/spoiled 2>/dev/null; then "
        "for lock in $AZ_BATCH_NODE_SHARED_DIR/snakemake-sources-*/*.lock; do "
        "rm -r ${{lock%.lock}}.files $lock; mkdir $lock; done; else sleep 0.5; fi; echo {wildcards.i} > {output}"
"""
# Each of two nodes has room for one job of each rule. On the one that a first task names, both fail once the others have
# succeeded elsewhere.
PICKED = """
rule all:
    input: expand("{rule}/{i}.txt", rule=["map", "sort"], i=range(2))

rule map:
    output: "map/{i}.txt"
    resources: az_slots=2
    shell: "SHELL"

rule sort:
    output: "sort/{i}.txt"
    resources: az_slots=1
    shell: "SHELL"
""".replace(
    "SHELL",
    "mkdir WORKDIR/picked 2>/dev/null && echo $AZ_BATCH_NODE_ID > WORKDIR/bad; "
    "until [ -s WORKDIR/bad ]; do sleep 0.05; done; "
    "if [ $AZ_BATCH_NODE_ID = $(cat WORKDIR/bad) ]; then until [ -e WORKDIR/go ]; do sleep 0.05; done; exit 3; fi; "
    "echo done > {output}",
)


def write(site, workflow):
    site.write({"Snakefile": workflow.replace("WORKDIR", str(site.workdir))})


def test_a_node_on_which_nothing_starts_is_taken_out_and_no_job_fails(site):
    write(site, SPOILED)
    with site.running(az_batch_slots_per_node="1", az_batch_nodes="2") as process:
        offline = wait_until(lambda: nodes_in(site, "offline"), timeout=90)
        assert process.wait(120) == 0, site.output()[-3000:]
    output = site.output()
    assert [site.read(f"part/{i}.txt") for i in range(12)] == [f"{i}\n" for i in range(12)]
    assert "Error in rule" not in output and "Trying to restart" not in output
    bad = f"the node {offline[0]} of the pool"
    assert len(offline) == 1 and output.count(f"{bad}") == 1, output[-3000:]
    assert "tasks in a row could not be started there" in output and "It gets no more tasks." in output
    sent = re.findall(r"the task (\S+) failed by .* Node: (\S+)\. Sent again as (\S+) \((\d) of 3\)", output)
    assert len(sent) >= 2 and {node for _, node, _, _ in sent} == {offline[0]}
    kept = (site.workdir / ".snakemake" / "azure_batch_logs").glob("*/*/stderr.txt")
    assert {log.parent.name for log in kept} == {old for old, *_ in sent}
    assert all(new.startswith("part-") and new != old for old, _, new, _ in sent)
    site.assert_clean()


def test_a_node_that_breaks_on_the_way(site):
    """Every command on one of two nodes exits with 126 from some moment on. No rule has retries."""
    write(site, SPOILED.replace("mkdir WORKDIR/spoiled", f"{site.held()}; false"))
    with site.running(az_batch_slots_per_node="1", az_batch_nodes="2") as process:
        running = wait_until(lambda: nodes if len(nodes := nodes_in(site, "running")) == 2 else None)
        client = site.emulator.client()
        (pool,) = client.list_pools()
        request = HttpRequest("POST", f"{site.emulator.url}/-/pools/{pool.id}/nodes/{running[0]}/spoil")
        client.send_request(request).raise_for_status()
        site.let_go()
        assert process.wait(120) == 0, site.output()[-3000:]
    assert [site.read(f"part/{i}.txt") for i in range(12)] == [f"{i}\n" for i in range(12)]
    assert "Error in rule" not in site.output()
    failed = set(re.findall(r"\(exit code 126\)\. Node: (\S+)\. Sent again", site.output()))
    assert failed == {running[0]}
    site.assert_clean()


def nodes_in(site, state):
    client = site.emulator.client()
    return [
        node.id for pool in client.list_pools() for node in client.list_nodes(pool.id) if node.state == state
    ]


def test_a_node_that_fails_what_works_elsewhere(site):
    """Two rules fail on it, others succeed on the other node: it is named, taken out, and its jobs run elsewhere."""
    write(site, PICKED)
    with site.running("--retries", "1", az_batch_slots_per_node="3", az_batch_nodes="2") as process:
        wait_until(lambda: "2 of 5 steps" in site.output())
        site.let_go()
        assert process.wait(120) == 0, site.output()[-3000:]
    bad = (site.workdir / "bad").read_text().strip()
    assert f"the node {bad} of the pool" in site.output()
    assert "tasks of the rules map, sort failed there in a row" in site.output()
    site.assert_clean()


def test_a_pool_of_bad_nodes_ends_with_the_reasons(site):
    """Where its lease bounds what the run may cost, none of them is removed."""
    write(site, SPOILED)
    result = site.run(az_batch_slots_per_node="1", az_batch_nodes="1", az_batch_max_cost="50")
    assert result.code == 1 and "Traceback" not in result.output
    assert re.search(r"All nodes of the pool \S+ are bad \(\S+: \d tasks in a row could not", result.output)
    site.assert_clean()


def test_a_job_whose_task_was_sent_often_enough_fails_and_says_where(site):
    write(site, SPOILED)
    options = {"az_batch_slots_per_node": "1", "az_batch_nodes": "1", "jobs": "2"}
    result = site.run(az_batch_infra_retries="0", **options)
    assert result.code == 1 and "Sent again" not in result.output
    assert re.search(r"could not be started on its node \(exit code 125\)\. Node: \S+\.", result.output)
    assert "cannot lay out the workflow's sources" in result.output
    site.assert_clean()


def test_the_records_name_the_task_that_was_sent_last(site):
    """A next run finds what still runs."""
    second = (
        'rule second:\n    input: "part/0.txt"\n    output: "second"\n    shell: "HELD; touch {output}"\n'
    )
    write(site, SPOILED.replace("range(12)", "[0]") + second.replace("HELD", site.held()))
    with site.running("second", az_batch_slots_per_node="1", az_batch_nodes="2") as p:
        wait_until(lambda: re.search(r"Sent again as \S+ \(2 of 3\)", site.output()), timeout=90)
        *_, last = re.findall(r"Sent again as (\S+)", site.output())
        records = (site.workdir / ".snakemake" / "incomplete").iterdir()
        known = [json.loads(record.read_text())["external_jobid"] for record in records if record.is_file()]
        assert known == [last]
        site.let_go()
        assert p.wait(60) == 0, site.output()[-3000:]


def test_a_number_that_is_out_of_bounds(site):
    write(site, SPOILED)
    result = site.run(az_batch_infra_retries="-1")
    assert result.code == 1 and "--az-batch-infra-retries -1 is out of bounds" in result.output
    assert site.left() == []
