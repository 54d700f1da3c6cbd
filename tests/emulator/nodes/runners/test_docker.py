"""The Docker runner, on a real engine."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest
from support.emulator import wait_until
from support.registry import private_registry
from support.running import Running

from azure_batch_emulator.core.entities import Ended
from azure_batch_emulator.nodes.runners import BindMount, ContainerSpec, NodeSpec, make_runner
from azure_batch_emulator.nodes.runners.container_engine import HOST_LABEL, PROCESS_LABEL
from azure_batch_emulator.nodes.runners.docker import TASK_USER, DockerRunner

pytestmark = pytest.mark.docker


@pytest.fixture
def runner(docker_engine) -> Iterator[DockerRunner]:
    made = make_runner("docker")
    assert isinstance(made, DockerRunner)
    yield made
    made.close()
    wait_until(lambda: not containers_of(docker_engine, "run-"))


@pytest.fixture
def container(snakemake_image):
    def make(run_options: str = "--rm", working_directory: str = "taskWorkingDirectory") -> ContainerSpec:
        return ContainerSpec(snakemake_image, run_options, working_directory)

    return make


def containers_of(engine, prefix: str) -> list:
    """Containers of this test process."""
    mine = f"{PROCESS_LABEL}={os.getpid()}@"
    every = engine.containers.list(all=True, filters={"label": HOST_LABEL}, ignore_removed=True)
    return [
        c
        for c in every
        if f"{PROCESS_LABEL}={c.labels.get(PROCESS_LABEL, '')}".startswith(mine)
        and c.labels["azure-batch-emulator.run"].startswith(prefix)
    ]


def out(launch) -> str:
    return (launch.task_dir / "stdout.txt").read_text()


def err(launch) -> str:
    return (launch.task_dir / "stderr.txt").read_text()


def test_output_directory_and_exit_code(runner, launch, container, docker_engine):
    task = launch("sh -c 'pwd; echo oh >&2; echo kept > file; exit 3'", container=container())
    ended = runner.run(task)
    assert (ended.exit_code, ended.failure, ended.details) == (3, None, ())
    assert out(task).strip() == str(task.task_dir / "wd")
    assert err(task) == "oh\n"
    assert (task.task_dir / "wd" / "file").read_text() == "kept\n"
    assert len(ended.container_id) == 64
    assert not containers_of(docker_engine, "run-")


def test_it_is_the_image_that_runs(runner, launch, container):
    task = launch("python -c 'import sys; print(sys.prefix)'", container=container())
    assert runner.run(task).exit_code == 0
    assert out(task).strip() == "/opt/snakemake" != sys.prefix


def test_environment(runner, launch, container, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_EMULATOR", "x")
    task = launch(
        "python -c 'import json, os; print(json.dumps(dict(os.environ)))'",
        {"AZ_BATCH_TASK_ID": "t", "MINE": "a b"},
        container=container("--rm -e OTHER=c -e MINE"),
    )
    assert runner.run(task).exit_code == 0
    seen = json.loads(out(task))
    assert (seen["AZ_BATCH_TASK_ID"], seen["MINE"], seen["OTHER"]) == ("t", "a b", "c")
    assert "SECRET_OF_THE_EMULATOR" not in seen


def test_node_root_is_mounted_and_writable(runner, launch, container):
    task = launch("placeholder", container=container())
    shared = task.node.root_dir / "shared"
    shared.mkdir()
    (shared / "in").write_text("from the node")
    assert runner.boot_node(task.node) is None
    task = launch(f"sh -c 'cat {shared}/in; echo back > {shared}/out'", container=container())
    assert runner.run(task).exit_code == 0
    assert out(task) == "from the node"
    assert (shared / "out").read_text() == "back\n"


def test_slots_bound_memory_and_cores(runner, launch, container):
    code = (
        "from pathlib import Path\n"
        "v2 = Path('/sys/fs/cgroup/memory.max')\n"
        "if v2.exists():\n"
        "    quota, period = Path('/sys/fs/cgroup/cpu.max').read_text().split()\n"
        "    memory = v2.read_text()\n"
        "else:\n"
        "    quota = Path('/sys/fs/cgroup/cpu/cpu.cfs_quota_us').read_text()\n"
        "    period = Path('/sys/fs/cgroup/cpu/cpu.cfs_period_us').read_text()\n"
        "    memory = Path('/sys/fs/cgroup/memory/memory.limit_in_bytes').read_text()\n"
        "print(int(memory), int(quota) / int(period))\n"
    )
    sized = NodeSpec("large", launch("x").node.root_dir, 16, 4096, 8, (), ())
    task = launch("python limits.py", container=container(), slots=2, node=sized)
    (task.task_dir / "wd" / "limits.py").write_text(code)
    assert runner.run(task).exit_code == 0, err(task)
    assert out(task).split() == [str(1024 << 20), "4.0"]


def test_out_of_memory_is_told(runner, launch, container):
    small = NodeSpec("small", launch("x").node.root_dir, 1, 128, 2, (), ())
    task = launch("python -c 'bytearray(200 << 20)'", container=container(), node=small)
    ended = runner.run(task)
    assert (ended.exit_code, ended.failure) == (137, None)
    assert dict(ended.details)["OutOfMemory"].endswith("1 of 2 slots are 64 MiB.")


as_root = pytest.mark.skipif(
    os.getuid() != 0, reason="only root can give the task's directory to another user"
)


@as_root
@pytest.mark.parametrize(("user", "numbers"), [(None, TASK_USER), ((41234, 45678), (41234, 45678))])
def test_a_task_is_not_root(runner, launch, container, user, numbers):
    """Not even where the emulator is root: a task that needs an administrator's rights fails here as on Azure."""
    script = "id -u; id -g; echo x > mine; cat given; mkdir -p ~/.cache; python -m snakemake --version; touch /etc/x"
    task = replace(launch(f"sh -c '{script}'", container=container()), user=user)
    given = task.task_dir / "wd" / "given"
    given.write_text("resource\n")
    given.chmod(0o600)
    assert runner.boot_node(task.node) is None
    assert runner.run(task).exit_code == 1, err(task)
    assert out(task).split()[:3] == [str(number) for number in numbers] + ["resource"]
    assert "azbatch" in out(task).split()[3] and "Permission denied" in err(task)
    assert (task.task_dir / "wd" / "mine").stat().st_uid == numbers[0]


def test_elevated_is_root(runner, launch, container):
    task = launch("id -u", container=container(), elevated=True)
    assert runner.run(task).exit_code == 0
    assert out(task).strip() == "0"


def test_run_options_reach_the_container(runner, launch, container, tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "f").write_text("hello")
    options = f"-v {tmp_path}/given:/given:ro --shm-size 3m --ulimit nofile=123:456 -w /tmp -u 7:8"
    task = launch(
        "sh -c 'cat /given/f; echo; pwd; id -u; ulimit -Sn; ulimit -Hn; df -k /dev/shm | tail -1'",
        container=container(options),
    )
    assert runner.run(task).exit_code == 0, err(task)
    lines = out(task).splitlines()
    assert lines[:5] == ["hello", "/tmp", "7", "123", "456"]
    assert lines[5].split()[1] == "3072"


def test_unknown_run_option_is_refused(runner, launch, container):
    ended = runner.run(launch("true", container=container("--rm --privileged")))
    assert ended.exit_code is None
    assert ended.failure.code == "ContainerInvalidSettings"


def test_settings_that_the_engine_refuses(runner, launch, container):
    ended = runner.run(launch("true", container=container("-v /a:/b:nonsense")))
    assert ended.failure.code == "ContainerInvalidSettings"
    assert "nonsense" in dict(ended.failure.details)["Message"]


def test_image_default_directory(runner, launch, container):
    task = launch("pwd", container=container(working_directory="containerImageDefault"))
    assert runner.run(task).exit_code == 0
    assert out(task).strip() == "/"


def test_program_not_found(runner, launch, container, docker_engine):
    ended = runner.run(launch("no-such-program", container=container()))
    assert (ended.exit_code, ended.failure.code) == (None, "CommandProgramNotFound")
    assert not containers_of(docker_engine, "run-")


def test_empty_command_line_is_the_images_command(runner, launch, container):
    task = launch("", container=container())
    assert runner.run(task).exit_code == 0, err(task)
    assert "azbatch" in out(task)


def test_kill(runner, launch, container, docker_engine):
    task = launch("sh -c 'echo up; sleep 600'", container=container())
    running = Running(runner, task)
    wait_until(lambda: (task.task_dir / "stdout.txt").exists() and out(task))
    runner.kill(task.run_id)
    runner.kill(task.run_id)
    ended = running.join()
    assert (ended.exit_code, ended.failure) == (137, None)
    assert not containers_of(docker_engine, task.run_id)
    runner.kill(task.run_id)


def test_kill_at_any_moment(runner, launch, container):
    """However a kill and the start of the run meet, the run ends."""
    pauses = [0.0, 0.01, 0.03, 0.06, 0.1, 0.2]
    for pause in pauses:
        task = launch("sleep 600", container=container())
        running = Running(runner, task)
        running.thread.join(pause)
        runner.kill(task.run_id)
        ended = running.join()
        assert ended.failure is None
        assert ended.exit_code in (None, 137)


def test_kill_before_run(runner, launch, container):
    task = launch("true", container=container())
    runner.kill(task.run_id)
    assert runner.run(task) == Ended(None, None)


def test_close_ends_all(docker_engine, launch, container):
    runner = make_runner("docker")
    tasks = [launch("sh -c 'echo up; sleep 600'", container=container()) for _ in range(3)]
    runs = [Running(runner, task) for task in tasks]
    wait_until(lambda: all((t.task_dir / "stdout.txt").exists() and out(t) for t in tasks))
    runner.close()
    assert [r.join().exit_code for r in runs] == [137] * 3
    assert not containers_of(docker_engine, "run-")


def test_output_is_there_while_the_task_runs(runner, launch, container):
    task = launch("sh -c 'echo now; read never < /dev/zero; sleep 600'", container=container())
    running = Running(runner, task)
    wait_until(lambda: (task.task_dir / "stdout.txt").exists() and out(task) == "now\n")
    assert not running.exits
    runner.kill(task.run_id)
    running.join()


def test_much_output_arrives_whole(runner, launch, container):
    code = "import sys; [print(i) for i in range(300000)]; print('e' * 100000, file=sys.stderr)"
    task = launch(f'python -c "{code}"', container=container())
    assert runner.run(task).exit_code == 0
    assert out(task) == "".join(f"{i}\n" for i in range(300000))
    assert len(err(task)) == 100001


def test_loopback_of_the_machine_is_reached(runner, launch, container):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        greeted = threading.Thread(target=lambda: server.accept()[0].sendall(b"hi"))
        greeted.start()
        code = f"import socket; print(socket.create_connection(('127.0.0.1', {port})).recv(2).decode())"
        task = launch(f'python -c "{code}"', container=container())
        assert runner.run(task).exit_code == 0, err(task)
        greeted.join(20)
    assert out(task) == "hi\n"


def test_task_without_container_is_a_process(runner, launch):
    task = launch("python -c 'import sys; print(sys.prefix)'")
    assert runner.run(task) == Ended(0, None)
    assert out(task).strip() == sys.prefix


def test_boot_with_an_image_that_is_there(runner, tmp_path, snakemake_image):
    assert runner.boot_node(NodeSpec("n", tmp_path, 1, 1024, 1, (snakemake_image,), ())) is None


def test_boot_with_an_image_that_cannot_be_pulled(runner, tmp_path):
    # A port that nothing listens on: the engine's own message comes back.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        registry = f"127.0.0.1:{closed.getsockname()[1]}"
        logins = ({"registryServer": registry, "username": "u", "password": "never-shown"},)
        spec = NodeSpec("n", tmp_path, 1, 1024, 1, (f"{registry}/no/image:1",), logins)
        failure = runner.boot_node(spec)
    assert failure.code == "ContainerInvalidImage"
    details = dict(failure.details)
    assert details["Image"] == f"{registry}/no/image:1"
    assert registry in details["Message"]
    assert "never-shown" not in repr(failure)


def test_boot_pulls_with_the_pools_login(runner, tmp_path, docker_engine):
    with private_registry("team/tool", "me", "right-password") as host:
        image = f"{host}/team/tool:1"

        def boot(*logins: dict):
            return runner.boot_node(NodeSpec("n", tmp_path, 1, 1024, 1, (image,), logins))

        for logins in [
            (),
            ({"registryServer": host, "username": "me", "password": "wrong-password"},),
            ({"registryServer": "other.example", "username": "me", "password": "right-password"},),
        ]:
            failure = boot(*logins)
            assert failure.code == "ContainerInvalidImage"
            assert "password" not in repr(failure)
        try:
            assert boot({"registryServer": host, "username": "me", "password": "right-password"}) is None
            assert docker_engine.images.get(image).tags == [image]
            assert boot() is None, "an image that the engine has is not pulled again"
        finally:
            docker_engine.images.remove(image)


def test_task_with_an_image_that_cannot_be_pulled(runner, launch):
    spec = ContainerSpec("127.0.0.1:9/no/image", "", "taskWorkingDirectory")
    ended = runner.run(launch("true", container=spec))
    assert (ended.exit_code, ended.failure.code) == (None, "ContainerInvalidImage")


def test_task_pulls_with_its_own_login(runner, launch, docker_engine):
    with private_registry("team/other", "me", "right-password") as host:
        image = f"{host}/team/other:1"

        def run(password: str) -> Ended:
            login = {"registryServer": host, "username": "me", "password": password}
            return runner.run(launch("", container=ContainerSpec(image, "", "taskWorkingDirectory", login)))

        try:
            refused = run("wrong-password")
            assert refused.failure.code == "ContainerInvalidImage" and "password" not in repr(refused)
            # The image holds no program, so that it has been pulled shows in what fails next.
            assert run("right-password").failure.code != "ContainerInvalidImage"
            assert docker_engine.images.get(image).tags == [image]
        finally:
            docker_engine.images.remove(image)


def test_chosen_directories_of_the_node(runner, launch, snakemake_image):
    root = launch("placeholder").node.root_dir
    for name in ("shared", "startup", "applications"):
        (root / name).mkdir(exist_ok=True)
        (root / name / "f").write_text(name)
    mounts = (BindMount("Shared", True), BindMount("Task", False), BindMount("JobPrep", False))
    spec = ContainerSpec(snakemake_image, "--rm", "taskWorkingDirectory", None, mounts)
    script = f"cat {root}/shared/f; ls {root}; echo x > {root}/shared/g; pwd; echo y > mine; echo $?"
    task = launch(f"sh -c '{script}'", container=spec)
    assert runner.run(task).exit_code == 0
    assert out(task).split() == ["sharedshared", "workitems", str(task.task_dir / "wd"), "0"]
    assert "Read-only file system" in err(task)
    assert (task.task_dir / "wd" / "mine").exists()


def test_nothing_of_the_node(runner, launch, snakemake_image):
    spec = ContainerSpec(snakemake_image, "--rm", "containerImageDefault", None, ())
    task = launch("placeholder")
    task = launch(f"sh -c 'test ! -e {task.node.root_dir}'", container=spec)
    assert runner.run(task).exit_code == 0


def test_orphans_of_a_dead_emulator_are_removed(runner, docker_engine, snakemake_image, launch, container):
    with subprocess.Popen(["sleep", "600"]) as other:
        living = {HOST_LABEL: socket.gethostname(), "azure-batch-emulator.run": "run-x"}
        mark = f"{other.pid}@{psutil.Process(other.pid).create_time():.0f}"
        command, host = ["sleep", "600"], "host"
        dead = docker_engine.containers.run(
            snakemake_image, command, detach=True, network_mode=host, labels={**living, PROCESS_LABEL: "1@5"}
        )
        kept = docker_engine.containers.run(
            snakemake_image, command, detach=True, network_mode=host, labels={**living, PROCESS_LABEL: mark}
        )
        try:
            assert runner.run(launch("true", container=container())).exit_code == 0
            left = {c.id for c in docker_engine.containers.list(all=True, ignore_removed=True)}
            assert dead.id not in left
            assert kept.id in left
        finally:
            kept.remove(force=True)
            other.kill()
