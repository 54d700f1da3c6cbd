"""What a coordination command leaves running, as processes."""

import os
import threading
from dataclasses import replace

import pytest
from support.emulator import wait_until

from azure_batch_emulator.nodes.runners.process import ProcessRunner

SERVICE = "/bin/bash -c '(echo $BASHPID; exec sleep 300) & exit 3'"


@pytest.fixture
def runner():
    runner = ProcessRunner(grace_seconds=0.2)
    yield runner
    runner.close()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def begin(runner, given):
    """Runs the command; the process that it left."""
    exit = runner.run(given)
    assert exit.exit_code == 3
    return int(wait_until(lambda: (given.task_dir / "stdout.txt").read_text().strip()))


def test_what_it_started_stays_until_the_kill(runner, launch):
    given = replace(launch(SERVICE), stage="coordination")
    pid = begin(runner, given)
    assert alive(pid)
    runner.kill(given.run_id)
    wait_until(lambda: not alive(pid))
    runner.kill(given.run_id)


def test_or_until_the_end_of_all(runner, launch):
    pid = begin(runner, replace(launch(SERVICE), stage="coordination"))
    assert alive(pid)
    runner.close()
    wait_until(lambda: not alive(pid))


def test_a_kill_during_the_command_leaves_nothing(runner, launch):
    given = replace(launch("/bin/sh -c 'sleep 300 & echo $!; wait'"), stage="coordination")
    output = given.task_dir / "stdout.txt"
    thread = threading.Thread(target=runner.run, args=[given])
    thread.start()
    pid = int(wait_until(lambda: output.exists() and output.read_text().strip()))
    runner.kill(given.run_id)
    thread.join(10)
    assert not thread.is_alive()
    wait_until(lambda: not alive(pid))


def test_outputs_follow_each_other(runner, launch):
    first = replace(launch("/bin/echo one"), stage="coordination")
    runner.run(first)
    runner.run(replace(first, run_id="next", command_line="/bin/echo two", stage="application"))
    assert (first.task_dir / "stdout.txt").read_text() == "one\ntwo\n"
