"""Profiles: how long the cloud takes for things, and what it allows."""

import json
from dataclasses import dataclass
from importlib.resources import files
from math import isfinite
from pathlib import Path
from random import Random

_KEYS = {
    "allocationSeconds": "allocation",
    "bootSeconds": "boot",
    "removalSeconds": "removal",
    "sampleDelaySeconds": "sample_delay",
    "taskSeconds": "task",
    "dedicatedCoreQuota": "dedicated_cores",
    "lowPriorityCoreQuota": "low_priority_cores",
    "poolQuota": "pools",
}


@dataclass(frozen=True)
class Profile:
    """Delays in seconds as (least, most), quotas of the account in cores and pools (None for no limit). `task` is what
    a task takes with the runner `none`."""

    allocation: tuple[float, float] = (0.0, 0.0)
    boot: tuple[float, float] = (0.0, 0.0)
    removal: tuple[float, float] = (0.0, 0.0)
    sample_delay: tuple[float, float] = (0.0, 0.0)
    task: tuple[float, float] = (1.0, 1.0)
    dedicated_cores: int | None = None
    low_priority_cores: int | None = None
    pools: int | None = None

    def delay(self, what: str, random: Random) -> float:
        return random.uniform(*getattr(self, what))


class ProfileError(ValueError):
    """A profile that can't be used; the message says which and why."""


def load_profile(name: str) -> Profile:
    """A profile that comes with the package, by name, or one in a JSON file."""
    shipped = files(__package__).joinpath(f"profiles/{name}.json")
    source = shipped if name.isidentifier() and shipped.is_file() else Path(name)
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
    except OSError:
        raise ProfileError(
            f"There is no profile {name!r}: --profile takes fast, realistic or a JSON file."
        ) from None
    except ValueError as error:
        raise ProfileError(f"The profile {name!r} is not JSON: {error}.") from None
    if not isinstance(data, dict):
        raise ProfileError(f"The profile {name!r} is not a JSON object.")
    data.pop("description", None)
    if unknown := sorted(set(data) - set(_KEYS)):
        raise ProfileError(f"The profile {name!r} has the unknown entry {unknown[0]!r}.")
    values = {}
    for key, value in data.items():
        if key.endswith("Seconds"):
            if not (_numbers(value, 2) and 0 <= value[0] <= value[1]):
                raise ProfileError(f"The entry {key!r} of profile {name!r} is not [least, most] in seconds.")
            value = tuple(float(x) for x in value)
        elif value is not None and not (_numbers([value], 1) and isinstance(value, int) and value >= 0):
            raise ProfileError(f"The entry {key!r} of profile {name!r} is neither a number nor null.")
        values[_KEYS[key]] = value
    return Profile(**values)


def _numbers(value: object, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(x, int | float) and not isinstance(x, bool) and isfinite(x) for x in value)
    )
