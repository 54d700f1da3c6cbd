"""What it costs to measure what a task uses: one task around `true`, with and without, in turns.

Both are run as on a node, with a process that watches the job. The difference of each pair is the cost: its median is
what a task pays.
"""

from typing import Any

from misc.bench import report
from misc.bench.setting import BIN, HERE, Services, say, services
from misc.bench.tasks import Measured, Order, forget_output, our_task

ROUNDS = 30
AIM = 0.010
"""Seconds of CPU for each task."""


def run() -> None:
    say(f"measuring: one task around `true`, {ROUNDS} pairs, with and without measuring in turns")
    before = report.conditions()
    with services() as running, our_task(running) as order:
        for _ in range(2):
            measure(running, order, "yes")
        pairs = [(measure(running, order, "yes"), measure(running, order, "no")) for _ in range(ROUNDS)]
    result = summarize(pairs)
    for key, name in (("cpu_ms", "milliseconds of CPU"), ("wall_ms", "milliseconds from start to end")):
        say(f"  {name} that measuring adds: {report.text(result[key], ' ms')}, n={ROUNDS} pairs")
    word = "within" if result["within_aim"] else "MISSES"
    say(f"  verdict: {result['cpu_ms']['median']:.1f} ms of CPU, {word} the aim of {AIM * 1000:.0f} ms")
    say(
        f"  with/without: {report.text(result['cpu_ratio'])} of CPU, {report.text(result['wall_ratio'])} of time"
    )
    report.publish("measuring", before, result)


def measure(running: Services, order: Order, measured: str) -> Measured:
    forget_output(running, "ours")
    script = HERE / "inside" / "measured.py"
    return order.run(running.folder, [BIN / "python", script, measured, order.argv[-1]])


def summarize(pairs: list[tuple[Measured, Measured]]) -> dict[str, Any]:
    cpu = report.spread([(with_.cpu - without.cpu) * 1000 for with_, without in pairs])
    return {
        "cpu_ms": cpu,
        "wall_ms": report.spread([(with_.wall - without.wall) * 1000 for with_, without in pairs]),
        "cpu_ratio": report.spread([with_.cpu / without.cpu for with_, without in pairs]),
        "wall_ratio": report.spread([with_.wall / without.wall for with_, without in pairs]),
        "aim": f"at most {AIM * 1000:.0f} ms of CPU a task",
        "within_aim": cpu["median"] <= AIM * 1000,
    }
