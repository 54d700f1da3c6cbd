"""The client is killed at a random moment, and its run goes on by the same command; sometimes with another workflow.

The second run has what it takes to be right: nothing that the first one had seen finished runs again, nothing that the
first one left running writes over what the second one makes, and nothing is left at the end.
"""

import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from misc.bench.setting import say
from misc.campaign import checks
from misc.campaign.report import Outcome
from misc.campaign.scene import Scene
from misc.campaign.workflow import Workflow

JOBS = 24
CHANGED = 0.3
"""Share of the reruns with another version of the rules, whose results must win over those of the first run."""


def run(
    make: Callable[[], Scene], draw: random.Random, number: int, times: int, at_once: int = 1
) -> list[Outcome]:
    name = signal.Signals(number).name
    with make() as scene:
        workflow = Workflow.of_jobs(JOBS, scene.ledger, seconds=1)
        start = time.monotonic()
        scene.run(workflow)
        length = time.monotonic() - start
    say(f"{name}: a run takes {length:.1f} s")
    drawn = [(draw.uniform(0, length * 1.1), draw.random() < CHANGED) for _ in range(times)]

    def one(trial: int) -> Outcome:
        moment, changed = drawn[trial]
        outcome = _one(make, number, trial, moment, changed)
        said = "; ".join(outcome.problems) or "fine"
        say(f"{name} {trial + 1}/{times} after {moment:.1f} s{' and a change' if changed else ''}: {said}")
        return outcome

    with ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(one, range(times)))


def _one(make: Callable[[], Scene], number: int, trial: int, moment: float, changed: bool) -> Outcome:
    name = signal.Signals(number).name
    with make() as scene:
        first = Workflow.of_jobs(JOBS, scene.ledger, seconds=1)
        second = Workflow.of_jobs(JOBS, scene.ledger, seconds=1, version="2" if changed else "1")
        start = time.monotonic()
        with scene.client(first) as client:
            client.wait(moment)
            client.kill(number)
            client.wait(15)
            late = [] if client.over else [f"it still ran 15 s after {name}"]
        before, seen = first.executions(), client.finished()
        rerun = scene.run(second)
        problems = [
            *late,
            *checks.ended_well(rerun),
            *checks.no_traceback(client, rerun),
            *checks.right_outputs(scene, second),
            *checks.nothing_left(scene),
        ]
        counts = second.executions()
        if not changed:
            problems += checks.not_again(before, seen, counts)
        repeated = 0 if changed else checks.doubled(counts)
        title = f"{name} {trial} after {moment:.1f} s"
        return Outcome(name, title, time.monotonic() - start, second.jobs, repeated, problems)
