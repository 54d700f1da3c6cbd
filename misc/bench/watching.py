"""What journal, meter and progress cost a run's process, all in one process: the events of a run of thousands, as they
are noted, once with a journal alone and once with all that hears it, and the looks at it once a second; beside what a
job costs in a run (`misc/bench/scale.py`)."""

import io
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

from misc.bench import report
from misc.bench.scale import SNAKEFILE, batch_run
from misc.bench.setting import say
from snakemake.azure.report.journal import Journal, JournalFile
from snakemake.azure.report.meter import Meter
from snakemake.azure.report.progress import Activity, Jobs, RuleJobs
from snakemake.azure.report.terminal import Area
from snakemake.executors.azure_batch_progress import renderable

JOBS = 10_000
NODES, SLOTS = 100, 4
SECONDS = 60
"""How long a run of so many jobs takes, with a view each second and a look every 15."""

AIM = 0.02
START = datetime(2026, 1, 1, tzinfo=UTC)


USED = (
    b'{"task":"one-12345-0123456789abcdef","node":"tvmps_0_d","code":0,"ended":"2026-01-01T00:00:00Z",'
    b'"cpu_seconds":1.5,"memory_bytes":123456789,"memory_of":"container","disk_bytes":1234567,"received_bytes":12345,'
    b'"sent_bytes":12345,"start_seconds":0.41,"stage_in_seconds":0.12,"job_seconds":1.23,"stage_out_seconds":0.21}\n'
)


def nodes(used: int) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            id=f"tvmps_{n:064d}_d",
            state="running",
            is_dedicated=True,
            allocation_time=START,
            state_transition_time=START,
            running_task_slots_count=used,
        )
        for n in range(NODES)
    ]


class Watched:
    """A journal in `folder`, with what hears it if `all` is."""

    def __init__(self, folder: Path, everything: bool) -> None:
        self.now = START
        self.journal = Journal(JournalFile(folder / f"{everything}.jsonl").append, lambda: self.now)
        self.activity, self.meter, self.everything = Activity(), Meter(self.journal.looked), everything
        self.area = Area(io.StringIO(), width=lambda: 100)
        self.jobs = Jobs(JOBS, 0, 0, {"one": RuleJobs(JOBS)})
        if everything:
            self.journal.listen(self.meter.take)
            self.journal.listen(self.activity.take)

    def run(self) -> None:
        note = self.journal.note
        note("run", run="one", lease_minutes=30)
        note(
            "pool", pool="pool", vm_size="Standard_D4ds_v5", slots=SLOTS, own=True, price=0.2, spot_price=0.04
        )
        each = JOBS // SECONDS
        for second in range(SECONDS):
            self.now = START + timedelta(seconds=second)
            for n in range(second * each, (second + 1) * each):
                note(
                    "submitted", task=f"one-{n}-0123456789abcdef", rule="one", batch_job="run-20261128-1",
                    pool="pool", slots=1, group=False, attempt=1, wildcards={"n": str(n)}, threads=1, mem_mb=None,
                    disk_mb=None, runtime=None, computed=[],
                )  # fmt: skip
            for n in range(max(0, second - 1) * each, second * each):
                note(
                    "ended", task=f"one-{n}-0123456789abcdef", pool="pool", node=f"tvmps_{n % NODES:064d}_d",
                    started=self.now, ended=self.now, success=True, exit_code=0, why="", service_fault=False, ran=True,
                )  # fmt: skip
            self.journal.note_used(USED * each)  # of jobs; their time comes near the end of a run
            if second % 15 == 0:
                self.journal.saw("pool", nodes(second % SLOTS))
            if self.everything:
                self.area.draw(
                    renderable(self.activity.view(self.jobs, self.meter.money(self.now), self.now))
                )


def cpu(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def run(jobs: int) -> None:
    """`jobs`: how many the run has whose CPU is measured."""
    before = report.conditions()
    with tempfile.TemporaryDirectory() as scratch:
        Watched(Path(scratch, "first"), True).run()  # imports
        alone = min(cpu(Watched(Path(scratch, f"a{n}"), False).run) for n in range(3))
        everything = min(cpu(Watched(Path(scratch, f"b{n}"), True).run) for n in range(3))
    ours = batch_run(SNAKEFILE, jobs, 0.0)
    per_job = [1e6 * seconds / JOBS for seconds in (alone, everything)]
    share = per_job[1] / (1000 * ours.cpu_ms)
    say(
        f"watching: {per_job[1]:.0f} microseconds of CPU a job, of which the journal is {per_job[0]:.0f}; a job costs "
        f"{ours.cpu_ms:.1f} ms in a run of {jobs} with all of it: {share:.1%}; the aim is {AIM:.0%}"
    )
    report.publish(
        "watching",
        before,
        {"journal_us": per_job[0], "all_us": per_job[1], "job_ms": ours.cpu_ms, "share": share},
    )
