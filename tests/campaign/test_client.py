"""A campaign reads from a client's log which jobs it has seen finished."""

from misc.campaign.scene import Client

LOG = """
[Fri Nov 27 22:00:00 2026]
rule part:
    input: az://bench/run/in/data.txt (retrieve from storage)
    output: az://bench/run/part/3.txt (send to storage)
    jobid: 5
    reason: Missing output files
    wildcards: i=3
    resources: tmpdir=/tmp

rule total:
    output: total.txt
    jobid: 1
    reason: Missing output files

Finished jobid: 5 (Rule: part)
Finished jobid: 1 (Rule: total)
"""


def test_finished_jobs_have_the_names_of_the_ledger(tmp_path):
    (tmp_path / "snakemake").mkdir()
    client = Client([], tmp_path / "snakemake", {})
    client.log.write_text(LOG)
    assert client.finished() == {"part.3", "total"}
