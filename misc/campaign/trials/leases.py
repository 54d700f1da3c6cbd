"""A client is killed and nobody comes back: the service gives its nodes back when the lease is over."""

import random
import signal
import time
from collections.abc import Callable

from misc.bench.setting import say
from misc.campaign.report import Outcome
from misc.campaign.scene import Scene, until
from misc.campaign.workflow import Workflow

MINUTES = 5
"""The lease; the emulator's clock runs sixty times as fast once the client is dead."""


def run(make: Callable[[], Scene], draw: random.Random) -> list[Outcome]:
    with make() as scene:
        workflow = Workflow.of_jobs(40, scene.ledger, seconds=2)
        start = time.monotonic()
        with scene.client(workflow, "--az-batch-lease", str(MINUTES)) as client:
            until(lambda: any(state == "running" for *_, state in scene.nodes()), 120)
            client.kill(signal.SIGKILL)
        problems = []
        if not until(lambda: not scene.nodes(), MINUTES * 60 + 900, pause=2):
            problems.append(f"{len(scene.nodes())} nodes are still there")
        say(f"lease: {'; '.join(problems) or 'fine'}")
        return [
            Outcome(
                "lease", f"of {MINUTES} minutes", time.monotonic() - start, workflow.jobs, problems=problems
            )
        ]
