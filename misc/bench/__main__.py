"""`python -m misc.bench [NAME ...]`: runs the benchmarks and prints each figure as a ratio, with its conditions."""

import argparse
import signal
import sys
from collections.abc import Callable

from misc.bench import (
    batch_requests,
    cache,
    copies,
    dryrun,
    emulator,
    estimates,
    lines,
    measuring,
    overhead,
    scale,
    sizing,
    takeover,
    transfers,
    watching,
)

BENCHES: dict[str, Callable[[argparse.Namespace], None]] = {
    "overhead": lambda _: overhead.run(),
    "measuring": lambda _: measuring.run(),
    "requests": lambda _: batch_requests.run(),
    "copies": lambda _: copies.run(),
    "cache": lambda o: cache.run(o.cache_mb * 1_000_000),
    "transfers": lambda o: transfers.run(o.mb, o.files, o.rounds, o.memory),
    "lines": lambda o: lines.run(o.mbits),
    "dryrun": lambda o: dryrun.run(o.inputs, o.plugin_inputs),
    "emulator": lambda _: emulator.run(),
    "scale": lambda o: scale.run(o.jobs, o.latency / 1000),
    "sizing": lambda _: sizing.run(),
    "estimates": lambda _: estimates.run(),
    "watching": lambda o: watching.run(min(o.jobs)),
    "takeover": lambda o: takeover.run(o.tasks),
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("python -m misc.bench", description=__doc__)
    made.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHES)}; all of them by default"
    )
    made.add_argument("--cache-mb", type=int, default=50, help="cache: size of the file (%(default)s)")
    made.add_argument("--mb", type=int, default=100, help="transfers: size of the large file (%(default)s)")
    made.add_argument("--files", type=int, default=500, help="transfers: small files (%(default)s)")
    made.add_argument("--rounds", type=int, default=4, help="transfers: of ours and the SDK (%(default)s)")
    made.add_argument("--memory", action="store_true", help="transfers: Azurite keeps blobs in memory")
    made.add_argument(
        "--mbits", type=float, nargs="+", default=list(lines.RATES), help="lines: Mbit/s (1 4 10 100)"
    )
    made.add_argument("--inputs", type=int, default=500, help="dryrun: inputs (%(default)s)")
    made.add_argument(
        "--plugin-inputs", type=int, default=1000, help="dryrun: the plugin's inputs at most (%(default)s)"
    )
    made.add_argument(
        "--jobs", type=int, nargs="+", default=[1000, 5000, 10000], help="scale: sizes (1000 5000 10000)"
    )
    made.add_argument("--tasks", type=int, default=200, help="takeover: running tasks (%(default)s)")
    made.add_argument("--latency", type=float, default=50, help="scale: milliseconds (%(default)s)")
    return made


def main() -> None:
    options = parser().parse_args()
    names = options.names
    unknown = sorted(set(names) - set(BENCHES))
    if unknown:
        raise SystemExit(f"Unknown benchmark {unknown[0]}; there are {', '.join(BENCHES)}.")
    # The end of the terminal or of a surrounding make cleans up like Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        for name in names or BENCHES:
            BENCHES[name](options)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        raise SystemExit(130) from None


main()
