"""What a dry run says that a run would need."""

import re

from snakemake.azure.report.costs import costs

from .test_journal import PRICE, SPOT_PRICE, events

WORKFLOW = """
localrules: here

rule all:
    input: expand("slow/{n}", n=range(int(config.get("count", 8)))), "here"

rule slow:
    output: "slow/{n}"
    RUNTIME
    shell: "sleep 1; touch {output}"

rule here:
    output: "here"
    shell: "touch {output}"
"""


def options(site, runtime=""):
    site.write(
        {
            "Snakefile": WORKFLOW.replace("RUNTIME", runtime),
            "prices.yaml": f"Standard_D4ds_v5: {{dedicated: {PRICE}, spot: {SPOT_PRICE}}}\n",
        }
    )
    return {"az_batch_prices": "prices.yaml", "az_batch_vm_size": "Standard_D4ds_v5", "az_batch_nodes": "2"}


def estimates(result):
    assert result.code == 0, result.output
    return [
        line for line in result.output.splitlines() if re.match("Azure Batch: (an|the|nobody|--az)", line)
    ]


def test_it_knows_nothing_then_a_runtime_then_an_earlier_run(site):
    (unknown,) = estimates(site.run("-n", **options(site)))
    assert "nobody knows how long 8 jobs of slow would take, so there is no estimate" in unknown
    figures, basis = estimates(site.run("-n", **options(site, "resources: runtime=60")))
    assert (
        "an estimate for 8 jobs: " in figures
        and "8 jobs on 2 nodes of Standard_D4ds_v5 with 4 slots" in figures
    )
    assert (
        "the runtime alone, of which a job takes a quarter to all (8 jobs) and by prices of prices.yaml"
        in basis
    )
    assert not site.left() and not (site.workdir / ".snakemake/azure_batch").exists()

    assert site.run(**options(site)).code == 0
    figures, basis = estimates(
        site.run("-n", "--forceall", "--config", "count=400", "--az-batch-max-cost", "1.1", **options(site))
    )[:2]
    assert "the journal of an earlier run, the newest of" in basis and "(400 jobs)" in basis
    assert "1 job on this machine are not in it" in basis
    least, most = map(float, re.search(r"([\d.]+) to ([\d.]+) node-hours", figures).groups())
    hours = costs(events(site)).rules["slow"].hours / 8  # of one job
    assert 0.5 * least < 400 * hours < 1.5 * most


def test_a_pool_of_somebody_else_has_no_estimate(site):
    given = options(site) | {"az_batch_vm_size": None, "az_batch_nodes": None}
    assert estimates(site.run("-n", "--az-batch-pool-id", "p", **given)) == []
