"""A machine in a test's hands: bodies for requests, and a driver that carries out instructions at once."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from azure_batch_emulator.core import restart, snapshot, timers
from azure_batch_emulator.core.batch_service import BatchService
from azure_batch_emulator.core.entities import Ended
from azure_batch_emulator.core.instructions import (
    BootNode,
    DeleteFiles,
    KillRun,
    RemoveNode,
    SetTimer,
    StartRun,
    UploadOutputs,
)
from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.nodes import boot, leaving
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.core.runs import reports
from azure_batch_emulator.engine.region import catalogue
from azure_batch_emulator.protocol.errors import BatchError
from azure_batch_emulator.protocol.schema import check_model

START = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = {
    "imageReference": {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2404"},
    "nodeAgentSKUId": "batch.node.ubuntu 24.04",
}
OUTPUT = {
    "filePattern": "*",
    "destination": {"container": {"containerUrl": "http://x/c"}},
    "uploadOptions": {"uploadCondition": "taskcompletion"},
}


def pool_body(pool_id="pool", **more):
    body = {"id": pool_id, "vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": IMAGE} | more
    return check_model("BatchPoolCreateOptions", body, "")


def job_body(job_id="job", pool_id="pool", **more):
    return check_model("BatchJobCreateOptions", {"id": job_id, "poolInfo": {"poolId": pool_id}} | more, "")


def schedule_body(schedule_id="s", job=None, **times):
    job = {"poolInfo": {"poolId": "pool"}} | (job or {})
    body = {"id": schedule_id, "schedule": times, "jobSpecification": job}
    return check_model("BatchJobScheduleCreateOptions", body, "")


def task_body(task_id="task", **more):
    return check_model("BatchTaskCreateOptions", {"id": task_id, "commandLine": "true"} | more, "")


class Driver:
    """Holds a machine, its clock and its outstanding instructions. Nodes boot and leave when time passes; runs
    end only when the test says so."""

    def __init__(self, profile=None):
        self.now = START
        self.machine = BatchService(profile or Profile(), Random(7), START, catalogue())
        self.timers: list = []
        self.started: dict[str, StartRun] = {}
        self.killed: set[str] = set()
        self.uploads: dict[str, UploadOutputs] = {}
        self.deleted: list[DeleteFiles] = []
        self.boot_failure = None

    def do(self, stimulus, *args):
        result, instructions = self.machine.apply(self.now, stimulus, *args)
        for instruction in instructions:
            self.carry_out(instruction)
        return result

    def carry_out(self, instruction):
        match instruction:
            case SetTimer():
                self.timers.append((instruction.at, len(self.timers), instruction.key))
            case BootNode():
                self.do(boot.booted, instruction.pool, instruction.node, instruction.boot, self.boot_failure)
            case RemoveNode():
                self.do(leaving.removed, instruction.pool, instruction.node)
            case StartRun():
                self.started[instruction.run] = instruction
            case KillRun():
                self.killed.add(instruction.run)
            case UploadOutputs():
                self.uploads[instruction.run] = instruction
            case DeleteFiles():
                self.deleted.append(instruction)

    def advance(self, seconds=0.0):
        """Lets time pass and fires what is due, in order."""
        end = self.now + timedelta(seconds=seconds)
        while due := sorted(timer for timer in self.timers if timer[0] <= end):
            self.timers.remove(due[0])
            self.now = max(self.now, due[0][0])
            self.do(timers.fire, *due[0][2])
        self.now = end

    def restart(self):
        """The service is killed and comes back with its state; what ran on its nodes is gone."""
        data = snapshot.dump(self.machine, [(at, key) for at, _, key in sorted(self.timers)])
        self.machine = BatchService(self.machine.profile, Random(), START, catalogue())
        self.timers = [(at, n, key) for n, (at, key) in enumerate(snapshot.load(self.machine, data))]
        for outstanding in (self.started, self.killed, self.uploads):
            outstanding.clear()
        self.do(restart.resume)
        assert not self.started, "no node is up yet"

    def end(self, run_id, exit_code=0, failure=None):
        self.started.pop(run_id)
        self.do(reports.running, run_id)
        self.do(reports.exited, run_id, Ended(exit_code, failure))

    def end_kills(self):
        while ready := [run for run in self.killed if run in self.started]:
            for run in ready:
                self.killed.discard(run)
                self.end(run, None)

    def run_of(self, name):
        return next(run for run, start in self.started.items() if start.task == name)

    # Shorthands

    def pool(self, pool_id="pool", nodes=1, slots=1, **more):
        body = pool_body(pool_id, targetDedicatedNodes=nodes, taskSlotsPerNode=slots, **more)
        pool = self.do(pools.create, body)
        self.advance()
        return pool

    def scaled(self, formula, interval="PT5M", slots=1):
        """A pool with a formula; its first evaluation comes a second later."""
        body = pool_body(
            enableAutoScale=True,
            autoScaleFormula=formula,
            autoScaleEvaluationInterval=interval,
            taskSlotsPerNode=slots,
        )
        return self.do(pools.create, body)

    def job(self, job_id="job", **more):
        return self.do(jobs.create, job_body(job_id, **more))

    def task(self, job, task_id="task", **more):
        return self.do(tasks.create, job, task_body(task_id, **more))


def code_of(call, *args):
    """The code of the error that the call raises."""
    with pytest.raises(BatchError) as caught:
        call(*args)
    return caught.value.code


def states_of(pool):
    return [node.state for node in pool.nodes.values()]
