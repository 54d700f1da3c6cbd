"""A large file and many small ones, up and down: ours, the bare SDK, and snakemake-storage-plugin-azure."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from misc.bench import report
from misc.bench.setting import CONTAINER, HERE, ROOT, azurite, clean_environ, say, stock_python

SMALL = 10_000  # bytes
NAMES = {"azblob": "ours", "sdk": "the bare SDK", "azure": "the plugin"}
DEADLINE = 900  # seconds


def run(megabytes: int, files: int, rounds: int, memory: bool) -> None:
    where = "in memory" if memory else "on disk"
    say(
        f"transfers: {megabytes:,} MB in one file, and {files:,} files of {SMALL // 1000} kB; Azurite {where}, "
        f"{rounds} rounds"
    )
    before = report.conditions()
    with tempfile.TemporaryDirectory(prefix="azbatch-bench.", dir=scratch()) as name:
        large = measure(Path(name) / "large", 1, megabytes * 1_000_000, rounds, memory)
        small = measure(Path(name) / "small", files, SMALL, rounds, memory)
    result = {
        "azurite": where,
        "large": {"bytes": megabytes * 1_000_000, **summarize(large)},
        "small": {"files": files, "bytes_each": SMALL, **summarize(small)},
    }
    for title, part in (("one file", result["large"]), (f"{files:,} files", result["small"])):
        show(title, part)
    report.publish("transfers", before, result)


def scratch() -> Path:
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def measure(
    folder: Path, count: int, size: int, rounds: int, memory: bool
) -> dict[tuple[str, str], list[dict[str, float]]]:
    """Results by side and way, one of each round; the plugin, which is slow, has one round."""
    folder.mkdir()
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with azurite(folder, memory) as account:
        for number in range(rounds):
            # Whoever goes second finds the machine as the first has left it: they take turns.
            pair = ("sdk", "azblob") if number % 2 else ("azblob", "sdk")
            for side in pair if number else (*pair, "azure"):
                local = folder / "local" / CONTAINER / side
                local.mkdir(parents=True)
                for n in range(count):
                    write(local / str(n), size)
                for way in ("up", "down"):
                    found.setdefault((side, way), []).append(
                        move(side, way, folder / "local", count, account)
                    )
                    for path in local.iterdir() if way == "up" else ():
                        path.unlink()
                if len(list(local.iterdir())) != count or (local / "0").stat().st_size != size:
                    raise SystemExit(f"{NAMES[side]} did not bring all files back.")
                shutil.rmtree(folder / "local")
    return found


def write(path: Path, size: int) -> None:
    with path.open("wb") as file:
        while size:
            file.write(os.urandom(min(size, 1 << 20)))
            size -= min(size, 1 << 20)


def move(side: str, way: str, local: Path, count: int, account: Any) -> dict[str, float]:
    python = stock_python() if side == "azure" else Path(sys.executable)
    key = f"AccountName={account.name};AccountKey={account.key};BlobEndpoint={account.url};"
    environ = clean_environ() | {"AZURITE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{key}"}
    # In a fresh process, so that its peak of memory is its own.
    command = [python, HERE / "inside" / "moves.py", side, way, CONTAINER, local, str(count)]
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{NAMES[side]} was not done after {DEADLINE} s; give fewer --files.") from None
    if done.returncode:
        raise SystemExit(f"{NAMES[side]} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def summarize(found: dict[tuple[str, str], list[dict[str, float]]]) -> dict[str, Any]:
    """For each way each side's seconds, CPU seconds and memory, and our ratios to the others, of the medians."""
    result: dict[str, Any] = {}
    for way in ("up", "down"):
        sides = {
            side: {
                figure: report.spread([one[figure] for one in found[side, way]])
                for figure in ("seconds", "cpu_s", "peak_mb")
            }
            for side in NAMES
        }
        result[way] = {"sides": sides}
        for figure, suffix in (("seconds", ""), ("cpu_s", "_cpu")):
            ours, sdk, stock = (sides[side][figure]["median"] for side in ("azblob", "sdk", "azure"))
            result[way] |= {
                f"ratio_to_sdk{suffix}": round(ours / sdk, 3),
                f"ratio_to_plugin{suffix}": round(ours / stock, 3),
            }
    return result


def show(title: str, part: dict[str, Any]) -> None:
    for way in ("up", "down"):
        one = part[way]
        say(
            f"  {title}, {way}: ratio {one['ratio_to_sdk']:.2f} to the bare SDK ({one['ratio_to_sdk_cpu']:.2f} in "
            f"CPU), {one['ratio_to_plugin']:.3f} to the plugin ({one['ratio_to_plugin_cpu']:.3f} in CPU)"
        )
        for side, figures in one["sides"].items():
            say(
                f"    {NAMES[side]}: {report.text(figures['seconds'], ' s')}, CPU "
                f"{report.text(figures['cpu_s'], ' s')}, memory {figures['peak_mb']['max']:.0f} MB"
            )
