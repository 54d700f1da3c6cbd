"""A service that is not there for a while, in each phase of a run."""

import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from misc.bench.setting import say
from misc.campaign import checks
from misc.campaign.report import Outcome
from misc.campaign.scene import Client, Scene, until
from misc.campaign.workflow import Workflow

JOBS = 40
# A line of the client's log that begins the phase.
PHASES = {
    "submitting": r"created the pool",
    "running": r"created the job",
    "finishing": r"Finished jobid",
    "closing": r"rule total:",
}
HOWS = ("refuse", "busy")


def run(
    make: Callable[[], Scene],
    draw: random.Random,
    lengths: list[float],
    most: int | None = None,
    at_once: int = 1,
) -> list[Outcome]:
    """All phases, services and lengths; `most` of them, drawn at random, where that is given. An outage is waiting for
    the most part, so many of them fit on a machine `at_once`."""
    cases = [
        (phase, service, length) for length in lengths for phase in PHASES for service in ("batch", "blob")
    ]
    if most is not None:
        cases = draw.sample(cases, min(most, len(cases)))
    drawn = [(draw.choice(HOWS), *case) for case in cases]
    with ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(lambda case: _one(make, *case), drawn))


def _one(make: Callable[[], Scene], how: str, phase: str, service: str, length: float) -> Outcome:
    with make() as scene:
        workflow = Workflow.of_jobs(JOBS, scene.ledger)
        faults = scene.batch_proxy if service == "batch" else scene.blob_proxy
        start = time.monotonic()
        with scene.client(workflow) as client:
            _await(client, phase)
            faults.plan = lambda _: how  # type: ignore[assignment, return-value]
            back = threading.Timer(length, lambda: setattr(faults, "plan", lambda _: None))
            back.start()
            client.wait(length + 300)
            back.cancel()
        faults.plan = lambda _: None
        problems = [
            *checks.ended_well(client),
            *checks.no_traceback(client),
            *checks.right_outputs(scene, workflow),
            *checks.nothing_left(scene),
        ]
        name = f"{service} {how} for {length:g} s while {phase}"
        say(f"outages: {name}: {'; '.join(problems) or 'fine'}")
        counts = workflow.executions()
        return Outcome(
            f"outages of {length:g} s",
            name,
            time.monotonic() - start,
            workflow.jobs,
            checks.doubled(counts),
            problems,
        )


def _await(client: Client, phase: str) -> None:
    until(lambda: client.over or re.search(PHASES[phase], client.text()), 120, 0.05)
