"""What is measured of a task beside its job: the parts of its time, the memory of its processes, its disk."""

import json
import subprocess
import sys

from support.emulator import wait_until

from snakemake.azure.node import usage
from snakemake.azure.node.usage import Meter, disk, resident

ENVIRON = {"AZ_BATCH_TASK_ID": "a-1", "AZ_BATCH_NODE_ID": "n"}


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_the_parts_of_a_tasks_time():
    clock = Clock()
    meter = Meter(clock)
    for seconds, begin in ((2, meter.staging_in), (3, meter.staging_in), (10, meter.staging_out)):
        clock.now += seconds  # before it, then half a second of it
        end = begin()
        clock.now += 0.5
        end()
    line = json.loads(meter.line(ENVIRON, 0))
    parts = [line[f"{name}_seconds"] for name in ("start", "stage_in", "job", "stage_out")]
    assert parts == [2, 1.0, 13, 0.5] and sum(parts) == clock.now - 100
    assert (line["task"], line["node"], line["code"]) == ("a-1", "n", 0)


def test_of_a_task_that_ends_before_its_job_begins():
    clock = Clock()
    meter = Meter(clock)
    clock.now += 4
    line = json.loads(meter.line(ENVIRON, 137))
    assert (line["start_seconds"], line["job_seconds"], line["code"]) == (4, 0, 137)


def test_memory_of_processes_that_have_children():
    held = "import subprocess, sys; x = bytearray(60_000_000); "
    inner = held + "print('there', flush=True); sys.stdin.read()"
    outer = held + f"subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        wait_until(lambda: resident(process.pid) > 120_000_000)
        process.stdin.close()
    assert resident(process.pid) == 0, "it has ended"


def test_disk_without_what_links_lead_to(tmp_path, monkeypatch):
    folder = tmp_path / "task"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_bytes(b"x" * 1_000_000)
    (tmp_path / "elsewhere").write_bytes(b"x" * 5_000_000)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    assert 1_000_000 <= disk(folder) < 2_000_000
    assert disk(tmp_path / "none") == 0


def test_what_the_kernel_has_counted_for_a_container(tmp_path, monkeypatch):
    """Files as those of a container's control group, version 2."""
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.peak").write_text("123456789\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n")
    monkeypatch.setattr(usage, "CGROUP", tmp_path)
    monkeypatch.setattr(usage, "OWN_GROUP", tmp_path / "cgroup")
    for group, memory, of in (("0::/", 123456789, "container"), ("0::/user.slice", None, "processes")):
        (tmp_path / "cgroup").write_text(f"{group}\n")
        line = json.loads(Meter().line(ENVIRON, 0))
        assert line["memory_of"] == of and (memory is None) == (line["memory_bytes"] != 123456789)
        assert (line["cpu_seconds"] == 2.5) == (memory is not None)
