"""Services that don't answer for a while, in each phase of a run: it waits, says so, and nothing is lost or doubled."""

import json
import signal
import stat

import pytest
from support.emulator import wait_until
from support.faults import Refusal, once, outage, proxy

WORKFLOW = """
rule all:
    input: "total.txt"

rule part:
    input: "in.txt"
    output: "part/{i}.txt"
    shell: "cat {input} > {output}; echo {wildcards.i} >> {output}"

rule total:
    input: expand("part/{i}.txt", i=range(3))
    output: "total.txt"
    shell: "cat {input} | tr '\\n' ' ' > {output}"
"""
RESULT = "data 0 data 1 data 2 "


@pytest.fixture
def batch(site):
    """A proxy before the Batch service, which the site's runs go through."""
    with proxy(int(site.emulator.url.rpartition(":")[2])) as faults:
        site.write({"Snakefile": WORKFLOW})
        site.put("in.txt", b"data\n")
        yield faults


@pytest.fixture
def blobs(site):
    """The same before Blob Storage, for the tasks, too."""
    with proxy(site.azurite.port) as faults:
        site.write({"Snakefile": WORKFLOW})
        site.put("in.txt", b"data\n")
        site.environ["AZ_BLOB_ACCOUNT_URL"] = faults.url(site.environ["AZ_BLOB_ACCOUNT_URL"])
        yield faults


def run(site, batch, *args, **changes):
    return site.run(*args, az_batch_account_url=batch.url(site.emulator.url), **changes)


def running(site, batch, *args, **changes):
    return site.running(*args, az_batch_account_url=batch.url(site.emulator.url), **changes)


PHASES = {
    "pool": ("refuse", lambda p: p.method == "POST" and p.path.startswith("/pools?")),
    "job": ("lose", lambda p: p.method == "POST" and p.path.startswith("/jobs?")),
    "tasks": ("busy", lambda p: "/addtaskcollection" in p.path),
    "poll": ("refuse", lambda p: p.method == "GET" and "/tasks?" in p.path),
    "close": ("error", lambda p: p.method == "DELETE"),
}


@pytest.mark.parametrize("phase", PHASES)
def test_batch_is_gone_for_some_seconds(site, batch, phase):
    fault, when = PHASES[phase]
    batch.plan = outage(fault, 8, when)
    result = run(site, batch)
    assert result.code == 0, result.last_error()
    assert site.read("total.txt") == RESULT
    site.assert_clean()
    assert len([p for _, p in batch.done]) > 3
    if phase == "close":
        assert result.output.count("trying on for up to 5 min") == 1
        assert not list((site.workdir / ".snakemake/azure_batch").glob("left*"))
    else:
        assert result.output.count("answers again") == result.output.count("does not answer since") <= 1


@pytest.mark.parametrize("when", ["DAG", "task", "upload"])
def test_blob_storage_is_gone_for_some_seconds(site, blobs, when):
    starts = {
        "DAG": lambda p: p.number > 0,
        "task": lambda p: p.is_content and "in.txt" in p.path,
        "upload": lambda p: p.method == "PUT" and "total.txt" in p.path,
    }
    blobs.plan = outage("refuse", 8, starts[when])
    result = site.run()
    assert result.code == 0, result.last_error()
    assert site.read("total.txt") == RESULT
    site.assert_clean()
    assert blobs.done


def test_what_the_service_does_not_know_at_once(site, batch):
    """A job that was just made is not found, and a pool that was just made can't be resized."""
    batch.plan = once(
        Refusal("404 Not Found", "JobNotFound"), lambda p: "/jobs/" in p.path and p.method != "DELETE", 3
    )
    assert run(site, batch).code == 0
    assert len(batch.done) == 3
    site.assert_clean()
    batch.done.clear()
    batch.plan = once(Refusal("409 Conflict", "PoolBeingCreated"), lambda p: "/resize?" in p.path)
    result = run(site, batch, "--forceall", "--jobs", "1", az_batch_slots_per_node="1")
    assert result.code == 0, result.last_error()
    site.assert_clean()


def test_patience_ends_and_says_so(site, batch):
    batch.plan = lambda p: "refuse" if p.method == "GET" and "/tasks?" in p.path else None
    result = run(site, batch, az_batch_patience="0.05")
    assert result.code == 1 and "--az-batch-patience is 3 s" in result.output
    assert "Traceback" not in result.output
    site.assert_clean()


def test_what_time_does_not_heal_ends_the_run_at_once_and_is_deleted_by_the_next(site, batch):
    """The key was changed: not even the pool can be deleted. With the new key, the next run does it."""
    polls = lambda p: p.method == "GET" and "/tasks?" in p.path  # noqa: E731
    batch.plan = outage(Refusal("403 Forbidden", "AuthenticationFailed"), 3600, polls)
    result = run(site, batch)
    assert result.code == 1 and "refused the key" in result.output, result.last_error()
    assert "does not answer" not in result.output and "trying on" not in result.output
    (note,) = (site.workdir / ".snakemake/azure_batch").glob("left-*.json")
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    text = note.read_text()
    assert [what for what, _ in json.loads(text)["left"]] == ["pool", "Batch job"]
    assert not any(site.environ[name] in text for name in ("AZ_BATCH_ACCOUNT_KEY", "AZ_BLOB_ACCOUNT_KEY"))
    batch.plan = lambda _: None
    result = run(site, batch)
    assert result.code == 0, result.last_error()
    assert result.output.count("had to leave") == 2 and not note.exists()
    site.assert_clean()


def test_a_run_that_is_killed_in_its_clean_up(site, batch):
    """As `docker stop` does it: SIGTERM, and SIGKILL later; the service is gone meanwhile."""
    site.write({"Snakefile": f'rule:\n    output: "out"\n    shell: "{site.held()}; touch {{output}}"\n'})
    with running(site, batch) as process:
        wait_until(site.tasks)
        batch.plan = lambda _: "refuse"
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: list((site.workdir / ".snakemake/azure_batch").glob("left-*.json")), timeout=10)
        process.kill()
        process.wait()
    assert sorted(left.split()[0] for left in site.left() if not left.startswith("blob")) == ["job", "pool"]
    batch.plan = lambda _: None
    site.let_go()
    result = run(site, batch, "--nolock")
    assert result.code == 0 and result.output.count("had to leave") == 2, result.last_error()
    site.assert_clean()
