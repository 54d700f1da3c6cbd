"""The command: what is tried, the table, the exit code."""

import sys
from collections.abc import Callable

from snakemake.azure.check import node, service
from snakemake.azure.check.service import Given
from snakemake.azure.check.steps import Steps

CHOICES = ("service", "node")


def check(given: Given, what: str, say: Callable[[str], None]) -> int:
    """0 where all steps go well, else 1."""
    steps = Steps(say)
    say(f"What a run needs, tried with these options on az://{given.prefix}:")
    service.check(given, steps, _warn)
    if what == "node":
        if steps.failed:
            say("No node is started, since what failed above would end its run as well.")
        else:
            say(
                f"One node of {given.settings.vm_size} and one job, from start to end: it takes some minutes and "
                "costs what the node costs, and all of it is deleted at the end, also after Ctrl-C."
                if given.settings.pool_id is None
                else f"One job in the pool {given.settings.pool_id}, from start to end."
            )
            node.check(given, steps)
    say(f"{steps.failed} of {len(steps.rows)} steps failed." if steps.failed else "All of it works.")
    return 1 if steps.failed else 0


def _warn(sentence: str) -> None:
    print(sentence, file=sys.stderr)
