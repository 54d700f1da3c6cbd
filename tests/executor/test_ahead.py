"""Which jobs come next: looked up in the DAG of a real workflow."""

from datetime import UTC, datetime, timedelta

import pytest
from snakemake.api import DAGSettings, OutputSettings, ResourceSettings, SnakemakeApi
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from snakemake.azure.batch.placement import Place
from snakemake.azure.batch.scaling import NextJob
from snakemake.azure.batch.vm_sizes import vm_size
from snakemake.executors.azure_batch_ahead import LookAhead

START = datetime(2026, 1, 1, tzinfo=UTC)
SNAKEFILE = """
localrules: here
rule split:
    output: "split"
    shell: "true"
rule each:
    input: "split"
    output: "each.{i}"
    threads: 2
    shell: "true"
rule here:
    input: expand("each.{i}", i=range(3))
    output: "here"
    shell: "true"
rule end:
    input: "here", "each.1"
    output: "end"
    threads: 4
    shell: "true"
"""


class Scene:
    def __init__(self, workflow):
        self.dag, self.now, self.running = workflow.dag, START, set()
        self.jobs = {f"{job.name} {','.join(job.wildcards)}".strip(): job for job in self.dag.jobs}
        self.ahead = LookAhead(lambda: self.dag, lambda: self.running, self.place, lambda: self.now)

    def place(self, job):
        return Place("", vm_size("Standard_D4s_v5"), 4, job.threads)

    def begin(self, *names):
        for name in names:
            self.running.add(self.jobs[name])
            if not self.jobs[name].is_local:
                self.ahead.begin(self.jobs[name], name)

    def end(self, *names):
        for name in names:
            self.running.discard(self.jobs[name])
            self.ahead.end(self.jobs[name])
            self.dag._finished.add(self.jobs[name])
            for after in self.dag.depending[self.jobs[name]]:
                self.dag._n_until_ready[after] -= 1


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    with SnakemakeApi(OutputSettings()) as api:
        made = api.workflow(
            resource_settings=ResourceSettings(cores=8), snakefile=tmp_path / "Snakefile", workdir=tmp_path
        )
        workflow = made.dag(DAGSettings(targets={"end"})).workflow_api._workflow
        workflow._prepare_dag(forceall=False, ignore_incomplete=False, lock_warn_only=False)
        workflow._build_dag()
        workflow._executor_plugin = ExecutorPluginRegistry().get_plugin("az-batch")
        yield Scene(workflow)


def test_jobs_come_next_whose_missing_predecessors_all_run(scene):
    assert scene.ahead() == []
    scene.begin("split")
    assert scene.ahead() == [NextJob("", 2, ["split"], [])] * 3
    scene.end("split")
    scene.begin("each 0", "each 1")
    assert scene.ahead() == [], "the third has not begun"


def test_a_local_job_in_between_is_passed_through(scene):
    scene.end("split")
    scene.begin("each 0", "each 1", "each 2")
    (job,) = scene.ahead()
    assert (job.slots, set(job.after), job.later) == (4, {"each 0", "each 1", "each 2"}, None)


def test_what_runs_on_this_machine_ends_when_its_like_did(scene):
    scene.end("split", "each 0", "each 1", "each 2")
    scene.begin("here")
    assert scene.ahead() == [NextJob("", 4, [], [None])]
    scene.now += timedelta(minutes=10)
    scene.running.clear()
    assert scene.ahead() == []
    scene.begin("here")
    assert scene.ahead() == [NextJob("", 4, [], [scene.now + timedelta(minutes=10)])]
