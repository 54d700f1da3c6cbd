"""The emulator with many tasks: 1,000, 10,000 and 100,000 of them on 1,000 nodes that are only simulated.

The real client adds them in collections of 100, waits until all are over, lists them, and deletes the job. What counts
is whether a task costs the same whatever their number. Other shapes of work are given to the core alone, without HTTP.
"""

import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from misc.bench import report, shapes
from misc.bench.setting import ROOT, Server, emulator_command, say, server

SIZES = (1_000, 10_000, 100_000)
NODES = 1_000
AT_ONCE = 100
"""Tasks in a request, the most that the service takes."""
SHAPE_SIZES = (10_000, 100_000)
TIME_SCALE = 10
"""A task takes a second of the emulator's clock, so the nodes could do 10,000 tasks in a real one."""


def run() -> None:
    say(
        f"emulator: tasks on {NODES} simulated nodes, added, completed, listed and deleted by the SDK's client"
    )
    before = report.conditions()
    sizes = {}
    for tasks in SIZES:
        sizes[tasks] = measure(tasks)
        show(tasks, sizes[tasks])
    least, most = sizes[SIZES[0]], sizes[SIZES[-1]]
    result: dict[str, Any] = {
        "nodes": NODES,
        "tasks": {str(tasks): figures for tasks, figures in sizes.items()},
        "ratio_of_wall_per_task": round(most["per_task_us"]["wall"] / least["per_task_us"]["wall"], 3),
        "ratio_of_cpu_per_task": round(most["per_task_us"]["cpu"] / least["per_task_us"]["cpu"], 3),
    }
    say(
        f"  time per task at {SIZES[-1]:,} against {SIZES[0]:,}: {result['ratio_of_wall_per_task']:.2f}; "
        f"CPU time of the emulator: {result['ratio_of_cpu_per_task']:.2f}"
    )
    result["shapes"] = {name: measure_shape(name, shape) for name, shape in shapes.SHAPES.items()}
    report.publish("emulator", before, result)


def measure_shape(name: str, shape: shapes.Shape) -> dict[str, float]:
    """Microseconds of CPU that a task costs the core, at the least and the most tasks."""
    few, many = (shapes.cost(shape, tasks) for tasks in SHAPE_SIZES)
    say(
        f"  {name}: {few * 1e6:.0f} us of CPU per task in the core at {SHAPE_SIZES[0]:,} tasks, "
        f"{many * 1e6:.0f} at {SHAPE_SIZES[1]:,}: {many / few:.2f}"
    )
    return {
        "cpu_us_few": round(few * 1e6, 1),
        "cpu_us_many": round(many * 1e6, 1),
        "ratio": round(many / few, 3),
    }


def measure(tasks: int) -> dict[str, Any]:
    with simulated_service() as service, client(service.url) as batch:
        make_pool(batch)
        memory = resident(service.pid)
        phases: dict[str, dict[str, float]] = {}

        @contextmanager
        def phase(name: str) -> Iterator[None]:
            wall, cpu = time.perf_counter(), cpu_seconds(service.pid)
            yield
            phases[name] = {
                "wall_us": (time.perf_counter() - wall) / tasks * 1e6,
                "cpu_us": (cpu_seconds(service.pid) - cpu) / tasks * 1e6,
            }

        with phase("add"):
            add(batch, tasks)
        with phase("complete"):
            wait(lambda: batch.get_job_task_counts("job").task_counts.succeeded == tasks)
        bytes_per_task = (resident(service.pid) - memory) / tasks
        with phase("list"):
            listed = sum(1 for _ in batch.list_tasks("job", select=["id", "state"]))
        if listed != tasks:
            raise SystemExit(f"{tasks} tasks were added and {listed} listed.")
        poll = []
        for _ in range(9):
            started = time.perf_counter()
            if list(batch.list_tasks("job", filter="stateTransitionTime gt DateTime'2099-01-01T00:00:00Z'")):
                raise SystemExit("Tasks have changed in the future.")
            poll.append(time.perf_counter() - started)
        with phase("delete"):
            batch.begin_delete_job("job", polling_interval=0.05).wait()
        whole = {kind: sum(phases[name][f"{kind}_us"] for name in phases) for kind in ("wall", "cpu")}
        return {
            "phases": {name: {k: round(v, 1) for k, v in phases[name].items()} for name in phases},
            "per_task_us": {kind: round(value, 1) for kind, value in whole.items()},
            "tasks_per_s": round(1e6 / whole["wall"]),
            "bytes_per_task": round(bytes_per_task),
            "empty_poll_ms": round(statistics.median(poll) * 1000, 2),
        }


def show(tasks: int, figures: dict[str, Any]) -> None:
    phases = ", ".join(f"{name} {values['wall_us']:.0f}" for name, values in figures["phases"].items())
    say(
        f"  {tasks:7,d} tasks: {figures['per_task_us']['wall']:.0f} us per task ({phases}), "
        f"{figures['per_task_us']['cpu']:.0f} us of CPU in the emulator; {figures['tasks_per_s']:,} tasks/s; "
        f"{figures['bytes_per_task']:,} bytes per task; a poll that finds nothing {figures['empty_poll_ms']:.1f} ms"
    )


@contextmanager
def simulated_service() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="azbatch-bench.", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        command = emulator_command("none", "--time-scale", str(TIME_SCALE))
        log = folder / "batch.log"
        with server("The Batch emulator", command, log, r"ready at (http://[^\s,]+)", ROOT) as service:
            yield service


@contextmanager
def client(url: str) -> Iterator[Any]:
    from azure.batch import BatchClient
    from azure.core.credentials import AzureNamedKeyCredential

    from azure_batch_emulator import DEV_ACCOUNT, DEV_KEY

    with BatchClient(url, AzureNamedKeyCredential(DEV_ACCOUNT, DEV_KEY)) as batch:
        yield batch


def make_pool(batch: Any) -> None:
    from azure.batch import models

    image = models.BatchVmImageReference(publisher="microsoft-dsvm", offer="ubuntu-hpc", sku="2404")
    machine = models.VirtualMachineConfiguration(
        image_reference=image, node_agent_sku_id="batch.node.ubuntu 24.04"
    )
    batch.create_pool(
        models.BatchPoolCreateOptions(
            id="pool",
            vm_size="Standard_D2s_v3",
            virtual_machine_configuration=machine,
            target_dedicated_nodes=NODES,
        )
    )
    wait(lambda: all(counts.dedicated.idle == NODES for counts in batch.list_pool_node_counts()))
    pool = models.BatchPoolInfo(pool_id="pool")
    batch.create_job(models.BatchJobCreateOptions(id="job", pool_info=pool))


def add(batch: Any, tasks: int) -> None:
    from azure.batch import models

    for first in range(0, tasks, AT_ONCE):
        group = [
            models.BatchTaskCreateOptions(id=f"task-{i:06}", command_line=f"/bin/true {i}")
            for i in range(first, min(first + AT_ONCE, tasks))
        ]
        added = batch.create_task_collection("job", models.BatchTaskGroup(task_values=group))
        refused = [verdict for verdict in added.result_values if verdict.status != "success"]
        if refused:
            raise SystemExit(f"The emulator refused {refused[0].task_id}: {refused[0].error}.")


def wait(predicate: Any, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            raise SystemExit(f"The emulator was not done after {seconds:.0f} s.")
        time.sleep(0.05)


def cpu_seconds(pid: int) -> float:
    """Of all threads of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of memory that a process has in use."""
    match = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024
