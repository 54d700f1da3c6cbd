"""What tasks have used is measured on their nodes, kept in storage while the run lasts, and here after that."""

import json

WORKFLOW = """
rule all:
    input: "big", expand("small/{n}", n=range(3))

rule big:
    input: "in"
    output: "big"
    shell: "head -c 3000000 {input} > {output}; head -c 50000000 /dev/zero > $TMPDIR/t; "
        "python3 -c 'import time; x = bytearray(300_000_000); time.sleep(1.5)'"

rule small:
    output: "small/{n}"
    shell: "echo {wildcards.n} > {output}"

rule bad:
    output: "bad"
    shell: "sleep 0.2; kill -9 $PPID"
"""


def usage(site):
    """Of each task by its rule and wildcards, what was kept of the runs in this directory."""
    files = (site.workdir / ".snakemake" / "azure_batch").glob("*.jsonl")
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return {row["task"]: row for row in rows if row["event"] == "used"}


def test_what_tasks_have_used(site):
    site.write({"Snakefile": WORKFLOW})
    site.put("in", b"x" * 5_000_000)
    result = site.run(az_batch_nodes="1")
    assert result.code == 0, result.last_error()
    rows = usage(site)
    assert len(rows) == 4 and all(
        row["code"] == 0 and row["node"].startswith("tvmps_") for row in rows.values()
    )
    (big,) = (row for task, row in rows.items() if task.startswith("big"))
    assert big["received_bytes"] == 5_000_000 and big["sent_bytes"] == 3_000_000
    assert big["disk_bytes"] >= 55_000_000
    if big["memory_of"] == "processes":
        assert big["memory_bytes"] >= 300_000_000
    assert big["job_seconds"] >= 1.5 and big["stage_in_seconds"] > 0 < big["stage_out_seconds"]
    assert all(row["cpu_seconds"] > 0 < row["start_seconds"] for row in rows.values())
    site.assert_clean()


def test_of_a_task_that_was_killed(site):
    site.write({"Snakefile": WORKFLOW})
    assert site.run("bad").code == 1
    (row,) = usage(site).values()
    assert row["code"] == 137 and row["job_seconds"] >= 0.2 and row["sent_bytes"] == 0
    site.assert_clean()
