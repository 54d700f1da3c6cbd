"""`python -m misc.bench [NAME ...]`: runs the benchmarks and prints each figure as a ratio, with its conditions."""

import signal
import sys

from misc.bench import batch_requests, cache, copies, emulator, overhead

BENCHES = {
    "overhead": overhead.run,
    "requests": batch_requests.run,
    "copies": copies.run,
    "cache": cache.run,
    "emulator": emulator.run,
}


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - set(BENCHES))
    if unknown:
        raise SystemExit(f"Unknown benchmark {unknown[0]}; there are {', '.join(BENCHES)}.")
    # The end of the terminal or of a surrounding make cleans up like Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        for name in names or BENCHES:
            BENCHES[name]()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        raise SystemExit(130) from None


main(sys.argv[1:])
