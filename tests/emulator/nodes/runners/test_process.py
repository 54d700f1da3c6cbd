"""The process runner, on real processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.emulator import wait_until
from support.running import Running

from azure_batch_emulator.core.entities import Ended
from azure_batch_emulator.nodes.runners import ContainerSpec, NodeSpec, make_runner
from azure_batch_emulator.nodes.runners.base import Kills
from azure_batch_emulator.nodes.runners.process import ProcessRunner, Started


@pytest.fixture
def runner() -> Iterator[ProcessRunner]:
    made = make_runner("process")
    assert isinstance(made, ProcessRunner)
    yield made
    made.close()


def ended(process: psutil.Process) -> bool:
    """Also if nobody has asked for its exit code yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def out(launch) -> str:
    return (launch.task_dir / "stdout.txt").read_text()


def test_output_directory_and_exit_code(runner, launch):
    task = launch(
        "python -c 'import os, sys; print(os.getcwd()); print(\"oh\", file=sys.stderr); sys.exit(3)'"
    )
    assert runner.run(task) == Ended(3, None)
    assert out(task).strip() == str(task.task_dir / "wd")
    assert (task.task_dir / "stderr.txt").read_text() == "oh\n"


def test_no_shell_but_quotes(runner, launch):
    task = launch("""python -c 'import sys; print(sys.argv[1:])' '$HOME' "a b" '*' '|' x""")
    assert runner.run(task).exit_code == 0
    assert out(task).strip() == str(["$HOME", "a b", "*", "|", "x"])


def test_environment_is_exact(runner, launch, monkeypatch):
    monkeypatch.setenv("AZ_BATCH_SECRET_OF_THE_EMULATOR", "x")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    task = launch(
        "python -c 'import json, os; print(json.dumps(dict(os.environ)))'", {"AZ_BATCH_TASK_ID": "t"}
    )
    assert runner.run(task).exit_code == 0
    seen = json.loads(out(task))
    assert set(seen) - {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"} == {
        "AZ_BATCH_TASK_ID",
        "PATH",
        "HOME",
    }
    assert seen["PATH"].split(os.pathsep)[1] == str(Path(sys.executable).parent)
    assert {path.name for path in task.task_dir.iterdir()} == {"wd", "stdout.txt", "stderr.txt"}
    assert Path(seen["HOME"]).is_relative_to(task.task_dir)


def test_what_a_node_gives_a_task(runner, launch):
    own = {
        "AZ_BATCH_NODE_SHARED_DIR": "/n/shared",
        "AZ_BATCH_TASK_WORKING_DIR": "/n/t/wd",
        "AZ_BATCH_TASK_USER": "_azbatch",
    }
    task = launch("env", own)
    assert runner.run(task).exit_code == 0
    seen = dict(line.split("=", 1) for line in out(task).splitlines())
    assert seen["PATH"].endswith(":/n/shared:/n/t/wd") and seen["USER"] == "_azbatch"


def test_the_tasks_own_path_wins(runner, launch):
    task = launch("env", {"PATH": "/usr/bin:/bin"})
    assert runner.run(task).exit_code == 0
    assert "PATH=/usr/bin:/bin" in out(task).splitlines()


def test_python_is_the_emulators_interpreter(runner, launch):
    task = launch("python -c 'import sys; print(sys.prefix)'")
    assert runner.run(task).exit_code == 0
    assert out(task).strip() == sys.prefix


@pytest.mark.parametrize(
    ("command_line", "code"),
    [
        ("no-such-program-here --x", "CommandProgramNotFound"),
        ("./gone", "CommandProgramNotFound"),
        ("sh -c 'unclosed", "CommandLaunchFailed"),
        ("", "CommandLaunchFailed"),
        ("/tmp", "CommandLaunchFailed"),
        ("echo a\0b", "CommandLaunchFailed"),
    ],
)
def test_what_cannot_start(runner, launch, command_line, code):
    ended = runner.run(launch(command_line))
    assert ended.exit_code is None
    assert (ended.failure.category, ended.failure.code) == ("UserError", code)


def test_a_signal_is_its_negative_number(runner, launch):
    task = launch("sh -c 'kill -ABRT $$'")
    assert runner.run(task) == Ended(-signal.SIGABRT, None)


def test_kill_takes_children_too(runner, launch):
    task = launch("sh -c 'sleep 600 & echo $!; sleep 601; echo never'")
    running = Running(runner, task)
    wait_until(lambda: (task.task_dir / "stdout.txt").exists() and out(task).strip())
    child = psutil.Process(int(out(task)))
    runner.kill(task.run_id)
    runner.kill(task.run_id)
    assert running.join() == Ended(-signal.SIGTERM, None)
    wait_until(lambda: ended(child))
    assert "never" not in out(task)


def test_kill_takes_other_process_groups_of_the_session(runner, launch):
    code = 'import os, subprocess; p = subprocess.Popen(["sleep", "600"], process_group=0); '
    code += "print(p.pid, flush=True); p.wait()"
    task = launch(f"python -c '{code}'")
    running = Running(runner, task)
    wait_until(lambda: (task.task_dir / "stdout.txt").exists() and out(task).strip())
    child = psutil.Process(int(out(task)))
    runner.kill(task.run_id)
    running.join()
    wait_until(lambda: ended(child))


def test_what_ignores_the_request_is_killed(launch):
    runner = ProcessRunner(grace_seconds=0.2)
    task = launch("sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.1; done'")
    running = Running(runner, task)
    wait_until(lambda: (task.task_dir / "stdout.txt").exists() and out(task).strip())
    runner.kill(task.run_id)
    assert running.join() == Ended(-signal.SIGKILL, None)


def test_a_task_can_clean_up_in_the_grace(runner, launch):
    task = launch("sh -c 'trap \"echo bye; exit 7\" TERM; echo ready; while :; do sleep 0.1; done'")
    running = Running(runner, task)
    wait_until(lambda: (task.task_dir / "stdout.txt").exists() and out(task).strip())
    runner.kill(task.run_id)
    assert running.join() == Ended(7, None)
    assert out(task).split()[-1] == "bye"


def test_kill_before_run(runner, launch):
    task = launch("sh -c 'echo started'")
    runner.kill(task.run_id)
    assert runner.run(task) == Ended(None, None)
    assert out(task) == ""


def test_what_a_task_leaves_behind_ends_with_it(runner, launch):
    task = launch("sh -c 'sleep 600 >/dev/null 2>&1 & echo $!'")
    assert runner.run(task) == Ended(0, None)
    pid = int(out(task))
    wait_until(lambda: not psutil.pid_exists(pid) or ended(psutil.Process(pid)))


@pytest.mark.parametrize("how", ["its end", "a kill"])
def test_a_session_of_its_own_ends_with_the_task(runner, launch, how):
    """As `setsid`, `daemon` or `nohup` make one."""
    task = launch(
        "python -c '"
        "import os, subprocess, time; "
        'print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid, flush=True); '
        f"time.sleep({0 if how == 'its end' else 600})'"
    )
    running = Running(runner, task)
    wait_until(lambda: (task.task_dir / "stdout.txt").exists() and out(task).strip())
    if how == "a kill":
        runner.kill(task.run_id)
    running.join()
    child = int(out(task))
    wait_until(lambda: not psutil.pid_exists(child) or ended(psutil.Process(child)))


def test_what_is_started_while_a_session_is_killed_ends_too(monkeypatch, tmp_path):
    every, seen = psutil.pids, []

    def late():
        """The first time one of the processes is not there yet."""
        seen.append(every())
        return [pid for pid in seen[-1] if len(seen) > 1 or pid != child.pid]

    command = ["sh", "-c", "sleep 600 & echo $!; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as leader:
        child = psutil.Process(int(leader.stdout.readline()))
        monkeypatch.setattr(psutil, "pids", late)
        Started(leader, tmp_path).kill()
    wait_until(lambda: ended(child))


def test_close_ends_all_and_stays_closed(runner, launch):
    tasks = [launch("sh -c 'echo up; sleep 600'") for _ in range(3)]
    runs = [Running(runner, task) for task in tasks]
    wait_until(lambda: all((t.task_dir / "stdout.txt").exists() and out(t) for t in tasks))
    runner.close()
    assert [r.join().exit_code for r in runs] == [-signal.SIGTERM] * 3
    assert runner.run(launch("true")) == Ended(None, None)


def test_container_is_only_checked(runner, launch):
    good = ContainerSpec("registry.example:5000/team/tool:1.2", "--rm", "taskWorkingDirectory")
    assert runner.run(launch("true", container=good)) == Ended(0, None)
    bad = ContainerSpec("Team Tool", "--rm", "taskWorkingDirectory")
    assert runner.run(launch("true", container=bad)).failure.code == "ContainerInvalidImage"


def test_boot_checks_the_names_of_images(runner, tmp_path):
    assert runner.boot_node(NodeSpec("n", tmp_path, 1, 1024, 1, ("busybox:1",), ())) is None
    failure = runner.boot_node(NodeSpec("n", tmp_path, 1, 1024, 1, ("busybox:1", "a//b"), ()))
    assert failure.code == "ContainerInvalidImage"
    assert ("Image", "a//b") in failure.details


def test_unknown_runner():
    with pytest.raises(ValueError, match="process, docker, none"):
        make_runner("podman")


def test_kills_are_bounded():
    kills = Kills()
    for number in range(Kills.KEEP + 5):
        kills.add(str(number))
    assert "4" not in kills
    assert "5" in kills
    assert str(Kills.KEEP + 4) in kills


def test_sudo_is_there_for_administrators_alone(runner, launch):
    """As on a node, whatever this machine has; and nothing gets other rights by it."""
    command = "sudo -E -u root NAME=value sh -c 'echo $NAME $(id -u)'"
    task = launch(command, elevated=True)
    assert runner.run(task).exit_code == 0
    assert out(task) == f"value {os.getuid()}\n"
    refused = launch(command)
    assert runner.run(refused).exit_code == 1
    assert "password is required" in (refused.task_dir / "stderr.txt").read_text() and out(refused) == ""
