"""The journal of a large run, made by hand: two pools, one of Spot nodes, with failures, retries, a preemption, an outage
and a client that died and was followed by another."""

from random import Random

from .journals import Written

RULES = {  # seconds of a task, and its slots
    "fetch": (60, 1), "trim": (200, 1), "map": (900, 2), "sort": (300, 1), "call": (600, 2), "annotate": (150, 1),
    "qc": (90, 1), "merge": (1200, 4),
}  # fmt: skip
BEGIN = 240  # seconds until nodes take tasks


def large(tasks=10_000, nodes=60, slots=4, rules=RULES, seed=1):
    """The events of a run of so many tasks, each of whose lanes is full but for short pauses."""
    random, run = Random(seed), Written()
    # Dedicated nodes are in the pool that `Written` has made, Spot nodes in one of their own.
    pools = ["p" if i % 3 else "spot" for i in range(nodes)]
    run.note(
        0, "pool", pool="spot", vm_size="Standard_D4ds_v5", vcpus=4, memory_mib=16384, slots=slots, own=True,
        price=3.6, spot_price=0.36, price_kind="listed", spot_price_kind="estimated", currency="USD",
        price_source="prices of a test, as of 2026-01-01",
    )  # fmt: skip
    for pool in ("p", "spot"):
        number = pools.count(pool)
        run.note(
            1,
            "size",
            pool=pool,
            dedicated=0 if pool == "spot" else number,
            spot=number if pool == "spot" else 0,
        )
    lines = []
    for i, pool in enumerate(pools):
        up = random.randint(60, 180)
        lines.append((up + 5, node_event(run, pool, i, "starting", up, up)))
        lines.append((BEGIN, node_event(run, pool, i, "running", up, BEGIN - random.randint(0, 50))))
    # By the clock, each task goes where room is first; each lane is a place for one slot.
    free = [[BEGIN + random.random() * 20 for _ in range(slots)] for _ in pools]
    names = list(rules)
    for n in range(tasks):
        rule = names[n % len(names)]
        length, width = rules[rule]
        width = min(width, slots)
        i = min(range(nodes), key=lambda i: sorted(free[i])[width - 1])
        lanes = sorted(range(slots), key=lambda lane: free[i][lane])[:width]
        start = max(free[i][lane] for lane in lanes) + random.random() * 3
        failed = random.random() < 0.01
        end = start + length * random.uniform(0.6, 1.5) * (0.4 if failed else 1)
        for lane in lanes:
            free[i][lane] = end
        lines += task_events(run, n, rule, width, pools[i], i, start, end, failed)
    last = max(map(max, free))
    lines.append(
        (last / 2, ("outage", {"service": "Azure Batch", "why": "503 Server Busy", "seconds": 30.0}))
    )
    lines.append((last / 2 + 200, ("outage_over", {"service": "Azure Batch", "seconds": 230.0})))
    for at, (event, values) in sorted(lines, key=lambda line: line[0]):
        run.note(at, event, **values)
    for pool in ("p", "spot"):
        run.note(last + 20, "pool_gone", pool=pool, how="deleted")
    run.note(last + 21, "requests", services={"Azure Batch": 4321, "Blob Storage": 765})
    run.note(last + 22, "run_over", run="one", how="finished")
    return run.events


def name_of(i):
    return f"tvmps_{i:06x}{i * 7919 % 65536:04x}_{'d' if i % 3 else 'p'}"


def node_event(run, pool, i, state, allocated, since):
    return "node", {
        "pool": pool, "node": name_of(i), "state": state, "spot": pool == "spot", "allocated": run.at(allocated),
        "since": run.at(since), "used_slots": 0,
    }  # fmt: skip


def task_events(run, n, rule, width, pool, i, start, end, failed):
    task = f"{rule}-s{n}-{n}-1"
    yield start - 30, ("submitted", {
        "task": task, "rule": rule, "batch_job": f"{pool}-1", "pool": pool, "slots": width, "group": False,
        "attempt": 1, "wildcards": {"sample": f"s{n}"}, "threads": width, "mem_mb": 4000 * width, "runtime": 60,
        "computed": [],
    })  # fmt: skip
    yield end + 1, ("ended", {
        "task": task, "pool": pool, "node": name_of(i), "started": run.at(start), "ended": run.at(end),
        "success": not failed, "exit_code": int(failed), "service_fault": False, "ran": True,
        "why": "The task's command exited with code 1." if failed else "",
    })  # fmt: skip
    yield end + 2, ("used", {
        "task": task, "node": name_of(i), "code": int(failed), "cpu_seconds": (end - start) * width * 0.6,
        "memory_bytes": 1.7e9 * width, "memory_of": "container", "start_seconds": 1.0, "stage_in_seconds": (end - start) * 0.04,
        "job_seconds": (end - start) * 0.9, "stage_out_seconds": (end - start) * 0.03,
    })  # fmt: skip
