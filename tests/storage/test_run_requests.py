"""What runs ask of storage: requests are counted, and depend on the jobs alone."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.io import IOFile, flag, wait_for_files

EXECUTOR = Path(__file__).parents[2] / "misc" / "bench" / "core"
JOBS = 40
ALL = f"rule all:\n    input: expand('out/{{n}}', n=range({JOBS}))\n"
ONE = "rule one:\n    output: {output}\n    shell: 'echo {{wildcards.n}} > {{output}}'\n"


@pytest.fixture
def put(container):
    def upload(*names: str) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda name: container.upload_blob(f"runs/one/{name}", b"x"), names))

    return upload


@pytest.fixture
def elsewhere(azurite, workflow):
    """A run whose jobs are over at once, as if they had been done on nodes; its requests but those for its sources."""

    def run(*options: str):
        mark = azurite.mark()
        environ = {"AZ_BLOB_ACCOUNT_URL": azurite.sas_url(), "PYTHONPATH": str(EXECUTOR)}
        remote = ["--executor", "bench-nothing", "--jobs", "100", "--shared-fs-usage", "none"]
        done = workflow.run(*remote, *options, **environ)
        return done, [r for r in azurite.requests(mark) if "snakemake-workflow-sources" not in r.path]

    return run


def test_finished_jobs_are_looked_at_together(workflow, elsewhere, put):
    workflow.write(ALL + ONE.format(output="'out/{n}'"))
    put(*(f"out/{n}" for n in range(JOBS)))
    done, requests = elsewhere("--forceall")
    assert done.returncode == 0, done.stderr
    assert len(requests) <= 6


def test_a_few_among_many_files_are_a_request_each(workflow, elsewhere, put):
    workflow.write(ALL + ONE.format(output="'out/{n}'"))
    put(*(f"out/{n}" for n in range(JOBS)), *(f"out/other-{n}" for n in range(20 * JOBS)))
    done, requests = elsewhere("--forceall")
    assert done.returncode == 0, done.stderr
    assert len(requests) <= 1.2 * JOBS


def test_many_inputs_of_one_job_are_a_listing(workflow, elsewhere, put):
    workflow.write(
        f"rule one:\n    input: expand('in/{{n}}', n=range({5 * JOBS}))\n    output: 'out/x'\n    shell: ''\n"
    )
    put("out/x", *(f"in/{n}" for n in range(5 * JOBS)))
    for inventory in ([], ["--max-inventory-time", "0"]):
        done, requests = elsewhere("--forceall", *inventory)
        assert done.returncode == 0, done.stderr
        assert len(requests) <= 30


def test_an_output_is_asked_for_again_while_it_is_waited_for(blob, container):
    there = blob("x")
    file = IOFile(flag("x", "storage_object", there))
    file.rule = SimpleNamespace(workflow=SimpleNamespace(iocache=SimpleNamespace(active=False)))
    assert not there.exists()
    container.upload_blob("x", b"late")
    assert not there.exists()  # as is known of it
    asyncio.run(wait_for_files([file], latency_wait=30))
    assert there.exists()


def test_an_output_that_nobody_made_is_missing(workflow, elsewhere):
    workflow.write("rule one:\n    output: 'out/x'\n    shell: ''\n")
    done, _ = elsewhere("--latency-wait", "0")
    assert done.returncode == 1
    assert "missing in storage" in done.stderr


class TestManyAtOnce:
    def run(self, azurite, workflow, *options: str):
        mark = azurite.mark()
        done = workflow.run(*options)
        assert done.returncode == 0, done.stderr
        return azurite.requests(mark)

    def test_touch(self, azurite, workflow, put, container):
        workflow.write(ALL + ONE.format(output="'out/{n}'"))
        put(*(f"out/{n}" for n in range(JOBS)))
        requests = self.run(azurite, workflow, "--touch", "--forceall")
        assert sum(r.method == "PUT" for r in requests) == JOBS
        assert len(requests) <= 2 * JOBS + 6  # the metadata is read before it is written

    def test_delete_all_output(self, azurite, workflow, put, container):
        workflow.write(ALL + ONE.format(output="'out/{n}'"))
        put(*(f"out/{n}" for n in range(JOBS)))
        requests = self.run(azurite, workflow, "--delete-all-output")
        assert sum(r.method == "DELETE" for r in requests) == JOBS
        assert len(requests) <= JOBS + 6
        assert list(container.list_blob_names()) == []

    def test_temporary_files(self, workflow, elsewhere, put, container):
        workflow.write(
            ALL
            + "rule two:\n    input: 'temp/{n}'\n    output: 'out/{n}'\n    shell: ''\n"
            + ONE.format(output="temp('temp/{n}')")
        )
        put(*(f"{folder}/{n}" for n in range(JOBS) for folder in ("temp", "out")))
        done, requests = elsewhere("--forceall")
        assert done.returncode == 0, done.stderr
        assert sum(r.method == "DELETE" for r in requests) == JOBS
        assert len(requests) <= JOBS + 1.2 * 2 * JOBS
        assert not list(container.list_blob_names(name_starts_with="runs/one/temp/"))

    def test_what_a_local_job_stores_is_not_asked_for(self, azurite, workflow):
        workflow.write(ALL + ONE.format(output="'out/{n}'"))
        requests = self.run(azurite, workflow, "--cores", "4")
        assert sum(r.method == "PUT" for r in requests) == JOBS
        assert not any(r.method == "HEAD" and r.status == 200 for r in requests)
