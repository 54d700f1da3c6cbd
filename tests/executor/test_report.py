"""`--az-batch-report`: what the page says of a run, against what the service itself has shown meanwhile."""

import re

import pytest
from support.emulator import wait_until

from snakemake.azure.report import journal
from snakemake.azure.report.costs import costs

from .conftest import SNAKEMAKE
from .test_journal import PRICE, SPOT_PRICE, events, kill_while_its_job_runs, no_spot_nodes, of, priced, seen

COMMAND = [str(SNAKEMAKE), "--az-batch-report", "report.html"]

FAILING = """
rule all:
    input: expand("good/{n}", n=range(3)), "bad/a&b"

rule good:
    output: "good/{n}"
    shell: "touch {output}"

rule bad:
    output: "bad/{what}"
    log: "{what}.log"
    retries: 1
    shell: "echo '<script>alert(2)</script> sv=2024&sig=c2VjcmV0c2VjcmV0' | tee {log:q} >&2; exit 3"
"""


def page(site, name="report.html"):
    return (site.workdir / name).read_text()


def total(html):
    """The whole money that the page says, as it does below its tables: everywhere the same."""
    found = set(re.findall(r'class="total">.*?<td(?: id="total")?>([^<]+)</td></tr>', html))
    assert len(found) == 1, found
    return float(found.pop())


def cents_off(watched, spot=False):
    """What a look of the test's own, each tenth of a second, and those of the run may tell otherwise."""
    return 2 * 1.5 * (SPOT_PRICE if spot else PRICE) / 3600


def test_a_run_writes_its_report_at_its_end(site):
    options = priced(site)
    with seen(site) as watched:
        result = site.run("--az-batch-report", "report.html", **options)
    assert result.code == 0, result.last_error()
    assert f"the report is {site.workdir}/report.html" in result.output
    html = page(site)
    assert total(html) == pytest.approx(watched.cost(), abs=cents_off(watched))
    assert total(html) == pytest.approx(costs(events(site)).money()[""], abs=0.005)
    assert "prices.yaml, as of 20" in html and "names no currency" in html
    assert "tried again, with success" in html and 'class="status good"' in html

    again = site.run(command=[*COMMAND, "--az-batch-efficiency"])
    assert again.code == 0 and "Wrote report.html" in again.output, again.output
    assert "Wrote profile.yaml" in again.output
    made = re.compile(r"Made [\d: -]+ UTC")
    assert made.sub("", page(site)) == made.sub("", html)


def test_a_run_that_fails_writes_it_too(site):
    site.write({"Snakefile": FAILING})
    result = site.run("--az-batch-report", "report.html", "--keep-going", az_batch_vm_size="Standard_D4ds_v5")
    assert result.code == 1 and "the report is" in result.output, result.last_error()
    html = page(site)
    assert "1 job failed" in html and "tried again, and failed again" in html
    assert html.count("&lt;script&gt;alert(2)&lt;/script&gt;") >= 2, "stderr and the rule's log"
    assert not re.findall(r"<script>alert|c2VjcmV0", html)
    assert "what=a&amp;b" in html


def test_a_run_that_was_killed_and_the_one_that_takes_it_over(site):
    options = priced(site)
    site.write(
        {"Snakefile": f'rule held:\n    output: "held"\n    shell: "{site.held()}; touch {{output}}"\n'}
    )
    with seen(site) as watched:
        kill_while_its_job_runs(site, options)
        assert site.run(command=COMMAND).code == 0
        assert "no end is noted" in page(site)
        site.let_go()
        result = site.run("--az-batch-report", "report.html", **options)
    assert result.code == 0, result.last_error()
    assert ", then smk-" in page(site) and "No client" in page(site)
    assert total(page(site)) == pytest.approx(watched.cost(), abs=cents_off(watched))


def test_a_preempted_node(site):
    options = priced(site)
    site.write(
        {"Snakefile": f'rule held:\n    output: "held"\n    shell: "{site.held()}; touch {{output}}"\n'}
    )
    report = str(site.workdir / "report.html")
    with (
        seen(site) as watched,
        site.running("--az-batch-spot", "3", "--az-batch-report", report, **options) as process,
    ):
        wait_until(lambda: any(task.state == "running" for task in site.tasks()), timeout=60)
        wait_until(lambda: of(events(site), "node"), timeout=60)
        with no_spot_nodes(site):
            wait_until(
                lambda: any(node["state"] == "preempted" for node in of(events(site), "node")), timeout=60
            )
        site.let_go()
        assert process.wait(90) == 0, site.output()[-3000:]
    assert total(page(site)) == pytest.approx(watched.cost(), abs=cents_off(watched, spot=True))
    assert "preempted" in page(site) and "jobs (Spot)" in page(site)


@pytest.mark.parametrize(
    "name, files, said",
    [
        ("report.html", {}, "No run on Azure Batch has left a journal"),
        ("no/report.html", {}, "cannot be written: there is no directory"),
        (".", {}, "is a directory: give a file"),
        ("report.html", {"report.html": "mine"}, "was not written by --az-batch-report"),
    ],
)
def test_what_cannot_be_written_is_a_sentence(site, name, files, said):
    site.write(files)
    result = site.run(command=[str(SNAKEMAKE), "--az-batch-report", name])
    assert result.code == 1 and said in result.output and "Traceback" not in result.output, result.output
    assert not (site.workdir / journal.HOME).exists()


def test_a_run_checks_the_file_before_anything_is_made(site):
    priced(site)
    for dry in ([], ["-n"]):
        result = site.run("--az-batch-report", "no/report.html", *dry)
        assert result.code == 1 and "there is no directory" in result.output, result.output
    assert not (site.workdir / journal.HOME).exists()
