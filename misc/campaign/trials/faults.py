"""A long run while 5 % of all requests fail, on both services, and 20 % of the nodes are lost."""

import random
import threading
import time
from collections.abc import Callable

from misc.bench.setting import say
from misc.campaign import checks
from misc.campaign.report import Outcome
from misc.campaign.scene import Scene
from misc.campaign.workflow import Workflow
from tests.support.faults import at_random

RATE = 0.05
LOST = 0.2
# So that a fifth of them are some; they run as many tasks as fewer larger ones would.
MANY_NODES = ("--az-batch-nodes", "16", "--az-batch-slots-per-node", "1")
# What a connection or a service does; damaged content is what tests/storage is about.
TROUBLE = ("refuse", "lose", "busy", "error", "cut")


def run(make: Callable[[], Scene], draw: random.Random, jobs: int) -> list[Outcome]:
    with make() as scene:
        workflow = Workflow.of_jobs(jobs, scene.ledger)
        scene.batch_proxy.plan = at_random(draw.getrandbits(32), RATE, *TROUBLE[:4])
        scene.blob_proxy.plan = at_random(draw.getrandbits(32), RATE, *TROUBLE)
        start = time.monotonic()
        losses = Losses(scene, draw)
        with scene.client(workflow, "--az-batch-infra-retries", "20", *MANY_NODES) as client:
            losses.start()
            client.wait(max(600.0, jobs * 3.0))
            losses.stop()
        problems = [
            *checks.ended_well(client),
            *checks.no_traceback(client),
            *checks.right_outputs(scene, workflow),
            *checks.nothing_left(scene),
        ]
        counts = workflow.executions()
        said = (
            f"faults: {workflow.jobs} jobs, {losses.lost} nodes lost, {len(scene.blob_proxy.done)} blob and "
        )
        say(f"{said}{len(scene.batch_proxy.done)} Batch requests failed")
        name = f"{workflow.jobs} jobs, {losses.lost} nodes lost"
        return [
            Outcome("faults", name, time.monotonic() - start, workflow.jobs, checks.doubled(counts), problems)
        ]


class Losses(threading.Thread):
    """Loses a node now and then, until one in five of all that were seen is lost."""

    def __init__(self, scene: Scene, draw: random.Random) -> None:
        super().__init__(daemon=True)
        self._scene, self._draw = scene, draw
        self._ended = threading.Event()
        self._seen: set[str] = set()
        self.lost = 0

    def run(self) -> None:
        while not self._ended.wait(self._draw.uniform(1, 3)):
            up = [(pool, node) for pool, node, state in self._scene.nodes() if state in ("idle", "running")]
            self._seen.update(node for _, node in up)
            if up and self.lost < LOST * len(self._seen) + LOST:
                pool, node = self._draw.choice(sorted(up))
                self._scene.control(f"pools/{pool}/nodes/{node}/lose")
                self.lost += 1

    def stop(self) -> None:
        self._ended.set()
        self.join()
