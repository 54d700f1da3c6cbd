"""Reading profiles: the files that come with the package, and those that users write."""

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

from ..core.profile import HttpFaults, NodeFaults, Profile

SHIPPED = ("fast", "realistic", "chaos")


class ProfileError(ValueError):
    """A profile that can't be used; the message says which entry and why."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _seconds(value: Any) -> tuple[float, float]:
    if not (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))):
        raise ValueError("[least, most] in seconds is expected")
    if not 0 <= value[0] <= value[1]:
        raise ValueError("seconds are not negative, and the least comes first")
    return float(value[0]), float(value[1])


def _quota(value: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise ValueError("a whole number or null is expected")
    return value


def _share(value: Any) -> float:
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1 is expected")
    return float(value)


def _rate(value: Any) -> float:
    if not _is_number(value) or value < 0:
        raise ValueError("a number that is not negative is expected")
    return float(value)


def _families(value: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, dict):
        raise ValueError('an object such as {"standardDSv3Family": 100} is expected')
    found = [(name, _quota(quota)) for name, quota in value.items()]
    return tuple((name, quota) for name, quota in found if quota is not None)


def _capacity(value: Any) -> tuple[tuple[float, int | None], ...]:
    expected = "a list such as [[600, 0], [900, null]] of seconds after the start, ascending, and cores"
    if not isinstance(value, list) or not all(isinstance(step, list) and len(step) == 2 for step in value):
        raise ValueError(f"{expected} is expected")
    steps = tuple((_rate(after), _quota(cores)) for after, cores in value)
    if list(steps) != sorted(steps, key=lambda step: step[0]):
        raise ValueError(f"{expected} is expected")
    return steps


Reader = Callable[[Any], Any]


def _object(make: Callable[..., Any], entries: Mapping[str, tuple[str, Reader]]) -> Reader:
    """Reads a JSON object: the field that each entry is for, and how its value is read."""

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("an object is expected")
        fields = {}
        for key, entry in value.items():
            if key == "description":
                continue
            if key not in entries:
                raise ValueError(f"there is no entry {key!r}; known are {', '.join(sorted(entries))}")
            name, reader = entries[key]
            try:
                fields[name] = reader(entry)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None
        return make(**fields)

    return read


def _http_faults(**fields: Any) -> HttpFaults:
    made = HttpFaults(**fields)
    shares = (
        value for name, value in fields.items() if isinstance(value, float) and name != "outages_per_hour"
    )
    if sum(shares) > 1 + 1e-9:
        raise ValueError("the rates add up to more than 1")
    return made


NODE_FAULTS: dict[str, tuple[str, Reader]] = {
    "preemptionsPerNodeHour": ("preemptions_per_node_hour", _rate),
    "lossesPerNodeHour": ("losses_per_node_hour", _rate),
    "lateNodeRate": ("late_nodes", _share),
    "bootFailureRate": ("boot_failures", _share),
    "startTaskFailureRate": ("start_task_failures", _share),
    "allocationFailureRate": ("allocation_failures", _share),
    "allocationStallRate": ("allocation_stalls", _share),
    "blindResizeRate": ("blind_resizes", _share),
    "lowPriorityCapacity": ("low_priority_capacity", _capacity),
}
HTTP_FAULTS: dict[str, tuple[str, Reader]] = {
    "throttledRate": ("throttled", _share),
    "busyRate": ("busy", _share),
    "errorRate": ("failed", _share),
    "droppedBeforeRate": ("dropped_before", _share),
    "droppedAfterRate": ("dropped_after", _share),
    "slowRate": ("slow", _share),
    "slowSeconds": ("slowness", _seconds),
    "retryAfterSeconds": ("retry_after", _seconds),
    "outagesPerHour": ("outages_per_hour", _rate),
    "outageSeconds": ("outage", _seconds),
}
ENTRIES: dict[str, tuple[str, Reader]] = {
    "allocationSeconds": ("allocation", _seconds),
    "bootSeconds": ("boot", _seconds),
    "rebootSeconds": ("reboot", _seconds),
    "removalSeconds": ("removal", _seconds),
    "restorationSeconds": ("restoration", _seconds),
    "lossSeconds": ("loss", _seconds),
    "recoverySeconds": ("recovery", _seconds),
    "lateNodeSeconds": ("lateness", _seconds),
    "sampleDelaySeconds": ("sample_delay", _seconds),
    "notFoundSeconds": ("not_found", _seconds),
    "taskSeconds": ("task", _seconds),
    "statisticsSeconds": ("statistics", _rate),
    "diskSeconds": ("disk", _rate),
    "dedicatedCoreQuota": ("dedicated_cores", _quota),
    "dedicatedCoreQuotaPerVMFamily": ("family_cores", _families),
    "lowPriorityCoreQuota": ("low_priority_cores", _quota),
    "poolQuota": ("pools", _quota),
    "activeJobQuota": ("jobs", _quota),
    "nodeFaults": ("faults", _object(NodeFaults, NODE_FAULTS)),
    "httpFaults": ("http", _object(_http_faults, HTTP_FAULTS)),
}


def load_profile(name: str) -> Profile:
    """A profile that comes with the package, by name, or one in a JSON file."""
    source = (
        files("azure_batch_emulator").joinpath(f"data/profiles/{name}.json")
        if name in SHIPPED
        else Path(name)
    )
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
    except OSError:
        raise ProfileError(
            f"There is no profile {name!r}: --profile takes {', '.join(SHIPPED)} or a JSON file."
        ) from None
    except ValueError as error:
        raise ProfileError(f"The profile {name!r} is not JSON: {error}.") from None
    try:
        return _object(Profile, ENTRIES)(data)
    except ValueError as error:
        raise ProfileError(f"The profile {name!r} can't be used: {error}.") from None
