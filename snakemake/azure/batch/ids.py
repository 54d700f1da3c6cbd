"""Ids and display names of what a run makes in Batch.

Ids have 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-' and are unique whatever their case; a display name
may have any characters, 1,024 of them (https://learn.microsoft.com/rest/api/batchservice/tasks/create-task).
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random

ID_LENGTH = 64
DISPLAY_NAME_LENGTH = 1024
# Leaves room for what is derived from a run's id, such as "-pool-standard_d4s_v3".
RUN_ID_LENGTH = 40

_HASH = 8
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def is_valid(text: str) -> bool:
    """Whether Batch takes the text as an id."""
    return re.fullmatch(rf"[A-Za-z0-9_-]{{1,{ID_LENGTH}}}", text, re.ASCII) is not None


def run_id(workflow: str, now: datetime, random: Random) -> str:
    """A new id for a run, such as `smk-variants-20261122t103105z-k3f9xw`: lower case, at most 40 characters.

    `now` must have a time zone. The random part keeps apart the runs that start in the same second.
    """
    tail = f"-{now.astimezone(UTC):%Y%m%dt%H%M%Sz}-{''.join(random.choices(_ALPHABET, k=6))}"
    # No hash: it is the tail, not the workflow's name, that makes the id unique.
    name = _clean(workflow).lower()[: RUN_ID_LENGTH - len(tail) - len("smk-")].strip("-_")
    return f"smk-{name or 'run'}{tail}"[:RUN_ID_LENGTH]


def derived_id(base: str, *parts: str) -> str:
    """`base-part-part...` as an id; if it must be cut or cleaned, a hash of the whole keeps it distinct."""
    whole = "-".join((base, *parts))
    clean = _clean(whole)
    if clean == whole and len(whole) <= ID_LENGTH:
        return whole
    return f"{clean[: ID_LENGTH - _HASH - 1].rstrip('-_')}-{_hash(*(base, *parts))}".lstrip("-")


def task_id(rule: str, jobid: int | str, attempt: int, wildcards: Mapping[str, str] | None = None) -> str:
    """The id of a job's task, such as `map-A-lane1-17-1` for job 17, attempt 1: the same for the same job.

    Job and attempt stand at the end, never cut, so two tasks of a run never share an id. What stands before
    them is for the reader, and is cut with a hash when it is too long. `jobid` is Snakemake's: a number, or a
    group's UUID.
    """
    job = str(jobid) if isinstance(jobid, int) else f"g{_hash(jobid, length=16)}"
    tail = f"-{job}-{attempt}"
    # Of a path, the end says more than the beginning.
    values = [str(value).rpartition("/")[2] for value in (wildcards or {}).values()]
    head = _clean("-".join((rule, *values))).strip("-") or "job"
    room = ID_LENGTH - len(tail)
    if len(head) > room:
        head = f"{head[: room - _HASH - 1].rstrip('-_')}-{_hash(rule, *values)}"
    return head + tail


def display_name(rule: str, wildcards: Mapping[str, str] | None = None) -> str:
    """What people read in the portal: `map sample=A lane=1`, cut to 1,024 characters of UTF-16."""
    text = " ".join((rule, *(f"{key}={value}" for key, value in (wildcards or {}).items())))
    text = "".join(c if c.isprintable() else " " for c in text)
    while (excess := len(text.encode("utf-16-le")) // 2 - DISPLAY_NAME_LENGTH) > 0:
        text = text[: len(text) - max(1, excess // 2)]
    return text


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)


def _hash(*parts: str, length: int = _HASH) -> str:
    # The separator cannot occur in a rule's name, so that ("a", "b") and ("ab",) differ.
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:length]
