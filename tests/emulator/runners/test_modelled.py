"""The runner that runs nothing, with time passed in."""

import threading

from azure_batch_emulator.runners import TaskExit, make_runner
from azure_batch_emulator.runners.modelled import ModelledRunner


def test_takes_the_modelled_time(launch):
    waited = []
    runner = ModelledRunner(seconds=lambda task: 60.0 * task.slots, wait=lambda killed, s: waited.append(s))
    assert runner.run(launch("anything", slots=2)) == TaskExit(0, None)
    assert waited == [120.0]


def test_kill_ends_the_wait(launch):
    begun = threading.Event()

    def wait(killed, seconds):
        begun.set()
        assert killed.wait(20)

    runner = ModelledRunner(wait=wait)
    task = launch("anything")
    exits = []
    thread = threading.Thread(target=lambda: exits.append(runner.run(task)))
    thread.start()
    assert begun.wait(20)
    runner.kill(task.run_id)
    thread.join(20)
    assert exits == [TaskExit(137, None)]


def test_kill_before_run_and_after_close(launch):
    runner = make_runner("none")
    task = launch("anything")
    runner.kill(task.run_id)
    assert runner.run(task) == TaskExit(None, None)
    runner.close()
    assert runner.run(launch("anything")) == TaskExit(None, None)
