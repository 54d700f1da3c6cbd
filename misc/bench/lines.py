"""A file up and down a slow line: how much longer it takes than the line itself needs for so many bytes."""

import tempfile
from pathlib import Path
from typing import Any

from misc.bench import report
from misc.bench.line import line
from misc.bench.setting import CONTAINER, azurite, say
from misc.bench.transfers import move, scratch, write

RATES = (1, 4, 10, 100)  # Mbit/s
ROUND_TRIP = 0.2  # seconds
SECONDS = 20  # of the line's own time, where the file is large enough for several blocks by then
LEAST = 10_000_000  # bytes
AIM = 1.2


def run(rates: list[float]) -> None:
    say(f"lines: a file up and down, {', '.join(f'{r:g}' for r in rates)} Mbit/s, {ROUND_TRIP * 1000:.0f} ms")
    before = report.conditions()
    with tempfile.TemporaryDirectory(prefix="azbatch-bench.", dir=scratch()) as name:
        result = {f"{rate:g}": measure(Path(name) / f"{rate:g}", rate) for rate in rates}
    show(result)
    report.publish("lines", before, {"aim": AIM, "round_trip": ROUND_TRIP, "lines": result})


def measure(folder: Path, rate: float) -> dict[str, Any]:
    """Seconds by way, with the line's own, and the ratio of the two."""
    from snakemake.azure.blob.account import BlobAccount

    folder.mkdir()
    local = folder / "local" / CONTAINER / "azblob"
    local.mkdir(parents=True)
    size = max(LEAST, round(rate * 125_000 * SECONDS))
    write(local / "0", size)
    own = size / (rate * 125_000) + ROUND_TRIP
    result: dict[str, Any] = {"bytes": size, "line_s": round(own, 3)}
    with (
        azurite(folder) as account,
        line(int(account.url.rpartition(":")[2].partition("/")[0]), rate, ROUND_TRIP) as between,
    ):
        there = BlobAccount.azurite(between.port)
        for way in ("up", "down"):
            seconds = move("azblob", way, folder / "local", 1, there)["seconds"]
            result[way] = {"seconds": round(seconds, 3), "ratio": round(seconds / own, 3)}
            if way == "up":
                (local / "0").unlink()
        if (local / "0").stat().st_size != size:
            raise SystemExit("The file did not come back whole.")
    return result


def show(result: dict[str, Any]) -> None:
    for rate, one in result.items():
        for way in ("up", "down"):
            say(
                f"  {rate} Mbit/s, {way}: ratio {one[way]['ratio']:.2f} to the line's own {one['line_s']:.1f} s for "
                f"{one['bytes'] / 1e6:.0f} MB (aim: {AIM})"
            )
