"""The same client on the emulator by HTTP, its clock accelerated, beside the simulation: do they agree?"""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from azure_batch_emulator import DEV_ACCOUNT, DEV_KEY
from azure_batch_emulator.service.profile_files import load_profile
from misc.bench.days import POLL, Client, Day, half_a_day
from misc.bench.setting import ROOT, emulator_command, say, server
from misc.bench.stepped import SteppedBatch
from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.client import Batch
from snakemake.azure.settings import ExecutorSettings

SCALE = 60
TASKS = [1200, 2400]
HOUR = 3600.0


@dataclass(frozen=True)
class Seen:
    """Hours of nodes, as the polls counted them, and of the clock; how often the pool was resized; its most nodes."""

    billed: float
    makespan: float
    resized: int
    most: int


def watch(client: Client, now: Callable[[], datetime], wait: Callable[[], None]) -> Seen:
    """Runs the client's day."""
    begun, billed, most, last = now(), 0.0, 0, now()
    while client.step():
        count = client.nodes()
        billed += count * (now() - last).total_seconds() / HOUR
        last, most = now(), max(most, count)
        wait()
    took = (now() - begun).total_seconds() / HOUR
    return Seen(billed, took, sum("resizing" in line for line in client.said), most)


def profile(folder: Path) -> Path:
    """The delays of Azure, with tasks of 20 to 40 minutes, and pools that are found at once."""
    source = ROOT / "azure_batch_emulator" / "data" / "profiles" / "realistic.json"
    known = json.loads(source.read_text(encoding="utf-8"))
    made = folder / "profile.json"
    made.write_text(json.dumps(known | {"taskSeconds": TASKS, "notFoundSeconds": [0, 0]}), encoding="utf-8")
    return made


def stepped(day: Day, path: Path, seed: int) -> Seen:
    batch = SteppedBatch(load_profile(str(path)), seed)
    client = Client(day, batch, batch.now)
    return watch(client, batch.now, lambda: batch.simulation.pass_time(POLL.total_seconds()))


def by_http(day: Day, path: Path, folder: Path, scale: int = SCALE) -> Seen:
    command = emulator_command("none", "--location", str(folder / "batch"), "--time-scale", str(scale))
    command[command.index("--profile") + 1] = str(path)
    with server("The emulator", command, folder / "log.txt", r"ready at (http://[^\s,]+)", ROOT) as found:
        environ = {"AZ_BATCH_ACCOUNT_NAME": DEV_ACCOUNT, "AZ_BATCH_ACCOUNT_KEY": DEV_KEY}
        account = BatchAccount.resolve(ExecutorSettings(account_url=found.url), environ)
        batch: Any = Batch(account)
        batch.supported_images()
        heard, when = batch.clock.now(), time.monotonic()

        def now() -> datetime:
            return heard + timedelta(seconds=(time.monotonic() - when) * scale)

        next_poll = [time.monotonic()]

        def wait() -> None:
            next_poll[0] += POLL.total_seconds() / scale
            time.sleep(max(0.0, next_poll[0] - time.monotonic()))

        client = Client(day, batch, now)
        try:
            return watch(client, now, wait)
        finally:
            list(client.close())


def run() -> dict[str, Any]:
    """Both, and how they compare."""
    with tempfile.TemporaryDirectory(prefix="azbatch-bench.", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        path = profile(folder)
        runs = [stepped(half_a_day(), path, seed) for seed in range(1, 6)]
        real = by_http(half_a_day(), path, folder)
    billed, took, resized = (
        [getattr(one, name) for one in runs] for name in ("billed", "makespan", "resized")
    )
    say(
        f"  by HTTP, {SCALE} times as fast (and the simulation, {len(runs)} seeds): {real.billed:.1f} node-hours "
        f"({min(billed):.1f} to {max(billed):.1f}), {real.makespan:.2f} h ({min(took):.2f} to {max(took):.2f}), "
        f"resized {real.resized} times ({min(resized)} to {max(resized)})"
    )
    return {"http": real.__dict__, "stepped": [one.__dict__ for one in runs]}
