"""The command itself: ready line, settings for clients, refusals, and that nothing is left after the end."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from support.emulator import running_emulator, wait_until

from azure_batch_emulator import __version__
from azure_batch_emulator.service.client_environment import hint, lines
from azure_batch_emulator.service.profile_files import (
    ENTRIES,
    HTTP_FAULTS,
    NODE_FAULTS,
    SHIPPED,
    ProfileError,
    load_profile,
)

from ..helpers import make_job, make_pool, shell, task

COMMAND = [sys.executable, "-m", "azure_batch_emulator"]


def test_sigterm_ends_tasks_and_removes_files(tmp_path):
    with running_emulator() as emulator:
        client = emulator.client()
        make_pool(client)
        make_job(client)
        script = (
            f"echo $$ $AZ_BATCH_NODE_ROOT_DIR > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/state; sleep 300"
        )
        client.create_task("job", task("t", shell(script)))
        wait_until((tmp_path / "state").exists)
        pid, root = (tmp_path / "state").read_text().split()
        assert Path(root).is_dir()
        assert emulator.stop() == 0
        assert not Path(root).exists() and not Path(root).parent.exists()
        wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_ctrl_c(tmp_path):
    with running_emulator(location=tmp_path / "here") as emulator:
        make_pool(emulator.client())
        emulator.process.send_signal(signal.SIGINT)
        assert emulator.process.wait(timeout=15) == 0
    assert list((tmp_path / "here" / "nodes").glob("n*/workitems")), "a location that was given is kept"


def test_environment_lines():
    out = subprocess.run(
        [*COMMAND, "env", "--port", "123", "--blob-port", "456"], capture_output=True, text=True, check=True
    )
    words = dict(shlex.split(line)[1].split("=", 1) for line in out.stdout.splitlines())
    assert words["AZ_BATCH_ACCOUNT_URL"] == words["AZURE_BATCH_ENDPOINT"] == "http://127.0.0.1:123"
    assert words["AZ_BATCH_ACCOUNT_NAME"] == words["AZURE_BATCH_ACCOUNT"] == "devbatch"
    assert words["AZ_BATCH_ACCOUNT_KEY"] == words["AZURE_BATCH_ACCESS_KEY"]
    assert (
        words["AZ_BLOB_ACCOUNT_URL"].startswith("http://127.0.0.1:456/devstoreaccount1?")
        and "sig=" in words["AZ_BLOB_ACCOUNT_URL"]
    )


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", """export A='it'"'"'s $x'"""),
        ("fish", r"set -gx A 'it\'s $x'"),
        ("powershell", "$env:A = 'it''s $x'"),
    ],
)
def test_environment_lines_of_shells(shell, line):
    assert lines({"A": "it's $x"}, shell) == [line]


def test_the_printed_hint_sets_what_clients_read():
    with running_emulator(runner="none") as emulator:
        (hint,) = wait_until(lambda: [line for line in emulator.output if "eval" in line])
        command = hint.partition("azure-batch-emulator ")[2].partition(")")[0]
        out = subprocess.run([*COMMAND, *command.split()], capture_output=True, text=True, check=True).stdout
        assert f"export AZURE_BATCH_ENDPOINT={emulator.url}\n" in out


def test_version():
    out = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True).stdout
    assert out == f"azure-batch-emulator {__version__}\n"


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "inf", "x"])
def test_time_scales_that_are_none(scale):
    done = subprocess.run(
        [*COMMAND, "start", f"--time-scale={scale}"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and "--time-scale: the time scale is a positive number" in done.stderr


def refusal(*arguments, **environment):
    """The one sentence with which `start` gives up."""
    done = subprocess.run(
        [*COMMAND, "start", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | environment,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("azure-batch-emulator: ")
    return done.stderr


def test_ports_that_are_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "--port" in (message := refusal("--port", port)) and port in message
        assert "--blob-port" in (message := refusal("--port", "0", "--blob-port", port)) and port in message


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_ports_that_are_none(port):
    done = subprocess.run([*COMMAND, "start", f"--port={port}"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--port: a port is a number from 0 to 65535" in done.stderr


def test_an_authority_that_is_not_there(tmp_path):
    done = subprocess.run(
        [*COMMAND, "env", "--ca", str(tmp_path / "ca.pem")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and f"--ca: there is no file {tmp_path}/ca.pem" in done.stderr


def test_the_hint_holds_in_other_directories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"--ca {tmp_path}/ca.pem" in hint(1, 2, "127.0.0.1", Path("ca.pem"))


def test_a_location_that_can_not_be_written(tmp_path):
    (tmp_path / "file").touch()
    for blobs in ([], ["--blob-port", "0"]):
        message = refusal("--port", "0", "--location", str(tmp_path / "file" / "d"), *blobs)
        assert "--location" in message and "port" not in message
    assert "--location" in refusal("--port", "0", "--location", str(tmp_path / "file"))
    assert "--location" in refusal("--port", "0", "--location", "/proc/here")


def test_an_address_of_another_machine():
    message = refusal("--port", "0", "--host", "192.0.2.1", "--allow-remote")
    assert "192.0.2.1" in message and "another address with --host" in message


def test_an_azurite_that_can_not_be_started(tmp_path):
    nothing = str(tmp_path / "azurite")
    assert nothing in (message := refusal("--port", "0", "--blob-port", "0", AZURITE=nothing))
    assert "AZURITE" in message
    Path(nothing).write_text("#!/bin/sh\necho no node here >&2\nexit 9\n")
    Path(nothing).chmod(0o755)
    message = refusal("--port", "0", "--blob-port", "0", AZURITE=nothing)
    assert "exit code 9" in message and "no node here" in message


def test_a_runner_without_its_engine(tmp_path):
    message = refusal("--runner", "docker", "--port", "0", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert "No Docker engine answers" in message and "--runner" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"bootSeconds": [5, 1]}', "bootSeconds"),
        ('{"bootSeconds": ["a", 1]}', "bootSeconds"),
        ('{"bootSeconds": [0, Infinity]}', "bootSeconds"),
        ('{"poolQuota": true}', "poolQuota"),
        ('{"colour": 1}', "colour"),
        ('{"dedicatedCoreQuotaPerVMFamily": 5}', "dedicatedCoreQuotaPerVMFamily.*object"),
        ('{"nodeFaults": {"bootFailureRate": 1.5}}', "nodeFaults: bootFailureRate.*0 to 1"),
        ('{"nodeFaults": {"colour": 1}}', "nodeFaults.*colour"),
        ('{"nodeFaults": {"preemptionsPerNodeHour": -1}}', "preemptionsPerNodeHour.*negative"),
        ('{"nodeFaults": {"lowPriorityCapacity": [[9, 1], [5, 1]]}}', "lowPriorityCapacity.*ascending"),
        ('{"httpFaults": {"throttledRate": 0.6, "busyRate": 0.6}}', "more than 1"),
        ("[1]", "object"),
        ("{", "JSON"),
    ],
)
def test_profiles_that_can_not_be_used(tmp_path, text, said):
    profile = tmp_path / "p.json"
    profile.write_text(text)
    with pytest.raises(ProfileError, match=said):
        load_profile(str(profile))


def test_profiles_that_come_with_it_and_all_entries():
    chaos = load_profile("chaos")
    assert chaos.faults.preemptions_per_node_hour > 0 and chaos.http.dropped_after > 0
    page = Path(__file__).parents[3] / "docs" / "emulator" / "profiles.md"
    described = set(re.findall(r"^\| `(\w+)` \|", page.read_text(), re.M))
    entries = set(ENTRIES) | set(NODE_FAULTS) | set(HTTP_FAULTS) | set(SHIPPED)
    assert described | {"nodeFaults", "httpFaults"} == entries, "each entry is described, and nothing else"


def test_refused_profiles(tmp_path):
    assert "--profile" in refusal("--profile", "nope", "--port", "0")
    (tmp_path / "p.json").write_text("[1]")
    assert "p.json" in refusal("--profile", str(tmp_path / "p.json"), "--port", "0")


def test_a_scaled_clock_and_a_profile_of_ones_own(tmp_path):
    profile = tmp_path / "slow.json"
    profile.write_text('{"allocationSeconds": [600, 600], "bootSeconds": [1200, 1200]}')
    with running_emulator(profile=profile, time_scale=3600, runner="none") as emulator:
        make_pool(emulator.client())
        (node,) = emulator.client().list_nodes("pool")
        assert 1200 <= (node.last_boot_time - node.allocation_time).total_seconds() < 12_000


def test_an_azurite_that_ends_by_itself(azurite):
    """`azurite` is only asked for so that there is one."""
    with running_emulator(blob_port=0, runner="none") as emulator:
        (child,) = (
            Path(f"/proc/{emulator.process.pid}/task/{emulator.process.pid}/children").read_text().split()
        )
        os.kill(int(child), signal.SIGKILL)
        (said,) = wait_until(lambda: [line for line in emulator.output if "Azurite has ended" in line])
        assert "exit code -9" in said and emulator.blob_url.partition("?")[0] in said
        assert list(emulator.client().list_pools()) == [], "the Batch service goes on"
        assert emulator.stop() == 0


def test_azurite_beside_it(azurite):
    """`azurite` is only asked for so that there is one; the command starts its own."""
    with running_emulator(blob_port=0) as emulator:
        assert requests.get(emulator.blob_url + "&comp=list", timeout=10).status_code == 200
        port = emulator.blob_url.split(":")[2].split("/")[0]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0, "Azurite ends with it"
