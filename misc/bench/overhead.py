"""What a task costs around its command, here and with stock Snakemake on the same Azurite.

The command is `true`, so all the time is the task's own: start, sources, input, output, end. Both commands come from
runs of the real command lines and are run in turns, one at a time, each in a directory of its own.
"""

import json
import statistics
import time
from typing import Any

from misc.bench import report
from misc.bench.setting import BIN, HERE, Services, say, services
from misc.bench.tasks import Measured, Order, forget_output, our_task, stock_task

ROUNDS = 9
AIM = 1 / 3


def run() -> None:
    say(f"overhead: one task around `true`, {ROUNDS} pairs, ours and stock in turns")
    before = report.conditions()
    with services() as running, our_task(running) as ours, stock_task(running) as stock:
        first = measure(running, "ours", ours)  # this one fetches the sources to the node
        measure(running, "stock", stock)
        pairs = [(measure(running, "ours", ours), measure(running, "stock", stock)) for _ in range(ROUNDS)]
        requests = {name: count(running, name, order) for name, order in (("ours", ours), ("stock", stock))}
        parts = phases(running, ours)
        result = summarize(pairs) | {
            "first_on_a_node_s": round(first.wall, 4),
            "as_batch_reports_s": report.spread(ours.batch_seconds),
            "blob_requests": requests,
            "blob_requests_ratio": round(requests["ours"] / requests["stock"], 3),
            "phases_s": parts,
        }
    show(result)
    report.publish("overhead", before, result)


def measure(running: Services, name: str, order: Order) -> Measured:
    forget_output(running, name)
    return order.run(running.folder)


def count(running: Services, name: str, order: Order) -> int:
    """Requests that Azurite answered to one task."""
    forget_output(running, name)
    mark = running.mark()
    order.run(running.folder)
    return len(running.blob_requests(mark))


def phases(running: Services, ours: Order, rounds: int = 5) -> dict[str, float]:
    """Medians of the seconds that each part of our task takes."""
    collected: dict[str, list[float]] = {}
    for _ in range(rounds):
        forget_output(running, "ours")
        file = running.folder / "phases.json"
        ours.run(
            running.folder,
            [BIN / "python", HERE / "inside" / "phases.py", file, str(time.monotonic()), ours.argv[-1]],
        )
        found = json.loads(file.read_text())
        for name, seconds in (
            found["parts"] | {"end of the process": time.monotonic() - found["end"]}
        ).items():
            collected.setdefault(name, []).append(seconds)
    return {name: round(statistics.median(values), 4) for name, values in collected.items()}


def summarize(pairs: list[tuple[Measured, Measured]]) -> dict[str, Any]:
    """Ratios are formed pair by pair, since the load of the machine changes from minute to minute."""
    ratio = report.spread([ours.wall / stock.wall for ours, stock in pairs])
    return {
        "wall_s": {
            "ours": report.spread([ours.wall for ours, _ in pairs]),
            "stock": report.spread([stock.wall for _, stock in pairs]),
        },
        "cpu_s": {
            "ours": report.spread([ours.cpu for ours, _ in pairs]),
            "stock": report.spread([stock.cpu for _, stock in pairs]),
        },
        "wall_ratio": ratio,
        "cpu_ratio": report.spread([ours.cpu / stock.cpu for ours, stock in pairs]),
        "aim": f"at most {AIM:.2f}",
        "within_aim": ratio["median"] <= AIM,
    }


def show(result: dict[str, Any]) -> None:
    for key, name in (("wall", "seconds from start to end"), ("cpu", "seconds of CPU")):
        sides, ratio = result[f"{key}_s"], result[f"{key}_ratio"]
        say(
            f"  {name}: ours/stock = {report.text(ratio)}, n={ratio['n']} pairs; "
            f"ours {report.text(sides['ours'], ' s')}, stock {report.text(sides['stock'], ' s')}"
        )
    word = "within" if result["within_aim"] else "MISSES"
    say(f"  verdict: {result['wall_ratio']['median']:.2f} {word} the aim of {result['aim']}")
    say(f"  the first task on a node, which fetches the sources: {result['first_on_a_node_s']:.2f} s")
    batch = result["as_batch_reports_s"]
    say(f"  as Batch reports our own run's {batch['n']} tasks, from start to end: {report.text(batch, ' s')}")
    requests = result["blob_requests"]
    say(
        f"  requests to Blob Storage for a task: ours/stock = {result['blob_requests_ratio']:.2f} "
        f"({requests['ours']} and {requests['stock']})"
    )
    say("  where our seconds go (medians of runs apart from the above):")
    for name, seconds in result["phases_s"].items():
        say(f"    {seconds:6.3f} s  {name}")
