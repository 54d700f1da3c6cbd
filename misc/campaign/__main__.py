"""`python -m misc.campaign`: whole runs on bad days, from a seed; says what was tried and what went wrong.

Each trial is a run of the real command line with real files, on an emulator and an Azurite of its own, with trouble
that the seed decides: failing requests, lost nodes, outages, SIGKILL and SIGTERM at random moments. What has to be true
at the end of a trial is in `checks`. Exit code 1 when anything was not.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from misc.bench.setting import ROOT, say
from misc.campaign.report import Outcome, table
from misc.campaign.scene import Scene
from misc.campaign.trials import deaths, faults, leases, outages

KINDS: dict[str, Callable[[argparse.Namespace, random.Random, Callable[[], Scene]], list[Outcome]]] = {
    "faults": lambda o, draw, scene: faults.run(scene, draw, o.jobs),
    "outages": lambda o, draw, scene: outages.run(scene, draw, o.outage_seconds, o.outages, o.at_once),
    "kill": lambda o, draw, scene: deaths.run(scene, draw, signal.SIGKILL, o.deaths, o.at_once),
    "term": lambda o, draw, scene: deaths.run(scene, draw, signal.SIGTERM, o.deaths, o.at_once),
    "lease": lambda o, draw, scene: leases.run(scene, draw),
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("python -m misc.campaign", description=__doc__.partition("\n")[0])
    made.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; all by default")
    made.add_argument("--seed", type=int, default=1, help="what decides everything (%(default)s)")
    made.add_argument("--jobs", type=int, default=1000, help="faults: jobs of the run (%(default)s)")
    made.add_argument("--deaths", type=int, default=100, help="kill, term: so many of each (%(default)s)")
    made.add_argument(
        "--outage-seconds", type=float, nargs="+", default=[10, 600], help="outages: how long (%(default)s)"
    )
    made.add_argument(
        "--outages", type=int, help="outages: so many, drawn at random (all of them by default)"
    )
    made.add_argument(
        "--at-once",
        type=int,
        default=1,
        help="outages, kill, term: so many trials at a time, each with services of its own (%(default)s)",
    )
    return made


def main() -> None:
    options = parser().parse_args()
    if unknown := sorted(set(options.kinds) - set(KINDS)):
        raise SystemExit(f"Unknown kind {unknown[0]}; there are {', '.join(KINDS)}.")
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="azbatch-campaign.", ignore_cleanup_errors=True) as name:
        home, numbers = Path(name), count()

        def scene() -> Scene:
            return Scene(home / f"{next(numbers):04}")

        for kind in options.kinds or KINDS:
            start = time.monotonic()
            # A generator for each kind: a kind alone does what it does among the others.
            draw = random.Random(f"{options.seed} {kind}")
            outcomes += KINDS[kind](options, draw, scene)
            say(f"{kind}: {time.monotonic() - start:.0f} s")
    say()
    say(table(outcomes))
    results = ROOT / "build" / "campaign.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps([o.__dict__ for o in outcomes], indent=2) + "\n", encoding="utf-8")
    if wrong := [f"{o.trial}: {problem}" for o in outcomes for problem in o.problems]:
        say("\n" + "\n".join(wrong))
        sys.exit(1)


main()
