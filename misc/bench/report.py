"""How figures are printed and kept: medians with their range, and each result with the conditions it was made under."""

import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from misc.bench.setting import ROOT, STORAGE_PLUGIN, say, upstream_pin

RESULTS = ROOT / "build" / "bench"


def spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
        "n": len(values),
    }


def text(figures: dict[str, Any], unit: str = "") -> str:
    """`1.23 s (1.10-1.45)`"""
    return f"{figures['median']:.2f}{unit} ({figures['min']:.2f}-{figures['max']:.2f})"


def processor() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text(encoding="utf-8").splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def conditions() -> dict[str, Any]:
    """What the result depends on besides the code; the load is that of the last minute."""
    packages = ["snakemake", "azure-storage-blob", "azure-batch"]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cpus": os.cpu_count(),
        "load": [round(x, 1) for x in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "stock": [upstream_pin(), STORAGE_PLUGIN],
    }


def publish(name: str, before: dict[str, Any], result: dict[str, Any]) -> None:
    """Prints the conditions and writes it all to `build/bench/NAME.json`."""
    after = conditions()
    loads = f"{before['load'][0]} before, {after['load'][0]} after"
    say(
        f"  conditions: {after['processor']}, {after['cpus']} CPUs, load {loads}; Python {after['python']}, "
        f"snakemake {after['versions']['snakemake']} and {', '.join(after['stock'])}"
    )
    if max(before["load"][0], after["load"][0]) > (after["cpus"] or 1):
        say(
            "  The machine was busy with other things: seconds are longer than need be, and ratios less certain."
        )
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{name}.json"
    everything = {"benchmark": name, "conditions": after | {"load_before": before["load"]}, **result}
    file.write_text(json.dumps(everything, indent=2) + "\n", encoding="utf-8")
    say(f"  written to {file.relative_to(ROOT)}\n")
