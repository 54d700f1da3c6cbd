"""Which examples Hypothesis tries: the same ones on each run, so that no run fails by luck.

AZBATCH_FUZZ=N tries N times as many, other ones on each run (`make fuzz`).
"""

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("AZBATCH_FUZZ", "0"))

settings.register_profile(
    "azbatch",
    derandomize=not TIMES,
    database=None,
    max_examples=100 * max(1, TIMES),
    print_blob=True,
    # What takes long on one machine or at one time does not on another.
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("azbatch")


def many(examples: int, **options) -> settings:
    """Settings of a test that has a number of examples of its own; options as those of Hypothesis."""
    return settings(max_examples=examples * max(1, TIMES), **options)
