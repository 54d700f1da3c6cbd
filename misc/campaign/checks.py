"""What has to be true after a trial, in words where it is not."""

from collections import Counter
from collections.abc import Iterable

from misc.campaign.scene import Client, Scene, until
from misc.campaign.workflow import Workflow


def ended_well(client: Client) -> list[str]:
    if client.code == 0:
        return []
    end = "\n".join(client.text().splitlines()[-8:])
    return [f"the run ended with {client.code} ({client.log.name}):\n{end}"]


def no_traceback(*clients: Client) -> list[str]:
    """The trial's directory goes with it, so the traceback is told whole."""
    begin = "Traceback (most recent call last)"
    found = ((c.log.name, c.text().partition(begin)) for c in clients)
    return [f"a traceback in {name}:\n{begin}{rest[:5000]}" for name, (_, has, rest) in found if has]


def right_outputs(scene: Scene, workflow: Workflow) -> list[str]:
    """Byte for byte those of a local run."""
    found, wanted = scene.outputs(), workflow.expected()
    lost = sorted(wanted.keys() - found.keys())
    other = sorted(name for name in wanted.keys() & found.keys() if wanted[name] != found[name])
    strange = sorted(found.keys() - wanted.keys())
    named = {"is missing": lost, "has another content": other, "should not be there": strange}
    return [f"{names[0]} {what} ({len(names)} in all)" for what, names in named.items() if names]


def nothing_left(scene: Scene, seconds: float = 30) -> list[str]:
    until(lambda: not scene.left(), seconds)
    left = scene.left()
    return [f"left behind: {', '.join(left[:4])} ({len(left)} in all)"] if left else []


def not_again(before: Counter[str], seen: Iterable[str], after: Counter[str]) -> list[str]:
    """Jobs whose end the first client had seen did not run once more."""
    again = sorted(job for job in seen if after[job] > before[job])
    return (
        [f"{again[0]} ran again after it had finished and been seen ({len(again)} in all)"] if again else []
    )


def doubled(counts: Counter[str]) -> int:
    """How many executions there were beyond one a job."""
    return sum(count - 1 for count in counts.values() if count > 1)
