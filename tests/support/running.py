"""Runs of tasks in threads."""

import threading

from azure_batch_emulator.core.entities import Ended
from azure_batch_emulator.nodes.runners import Runner, TaskLaunch


class Running:
    """A run in a thread of its own, as the emulator has it."""

    def __init__(self, runner: Runner, launch: TaskLaunch):
        self.exits: list[Ended] = []
        self.thread = threading.Thread(target=lambda: self.exits.append(runner.run(launch)), daemon=True)
        self.thread.start()

    def join(self, seconds: float = 20) -> Ended:
        self.thread.join(seconds)
        assert self.exits, "The run did not return in time."
        return self.exits[0]
