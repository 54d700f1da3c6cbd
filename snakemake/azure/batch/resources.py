"""What a run has made in Azure, or may have made, and its deletion: what costs first, tried on for some minutes.

Each thing is in here before the request that makes it is sent, so that it is deleted even if the answer never came.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure import retry

CLOSING = timedelta(minutes=5)
"""How long the clean-up is tried on."""

APPEARING = 5.0
"""Seconds in which something that was asked for may still appear, though it is not found."""

POOL, JOB, SOURCES = "pool", "Batch job", "source archive"
TOKEN = "run's token"
POLICY = "stored access policy"

SETTLING = 30.0
"""The same for what has been made for certain: for so long, the service may not find it yet."""

APPEARING_KINDS = (POOL, JOB, SOURCES)

# What is deleted first: what costs, then what could still use it, and what tasks that end just now write by, so that
# nothing comes after the deletion of their logs.
_ORDER = {TOKEN: 0, POOL: 1, JOB: 2, POLICY: 3}


@dataclass
class Resource:
    """Something that exists, or may exist, in Azure because of this run. `delete` says whether it did, or None for what
    was left to end by itself; `since` is when
    its making began, on the clock of `retry.Patience`; `certain` that the service has said that it is made."""

    what: str
    name: str
    delete: Callable[[], bool | None]
    since: float = float("-inf")
    taken_over: bool = False
    certain: bool = False


class Resources:
    """The resources of one run. requests: how deletions are tried again; note_left: is told, as pairs of kind and name,
    what can't be deleted now. All methods may be called from any thread.
    """

    def __init__(
        self,
        requests: retry.Patience,
        warn: Callable[[str], None],
        note_left: Callable[[Sequence[tuple[str, str]]], None],
    ) -> None:
        self.requests = requests
        self.warn = warn
        self.note_left = note_left
        self.left: list[tuple[str, str]] = []
        """Kind and name of what could not be deleted."""
        self._all: list[Resource] = []
        self._deleting = threading.Lock()

    def add(self, what: str, name: str, delete: Callable[[], bool | None]) -> None:
        """To be called before it is made."""
        self._all.append(Resource(what, name, delete, self.requests.clock()))

    def confirm(self, name: str) -> None:
        """The service has answered that it is made."""
        for item in self._all:
            item.certain = item.certain or item.name == name

    def take_over(self, what: str, name: str, delete: Callable[[], bool | None]) -> None:
        """What another run has made: of its kind, it goes last."""
        self._all.insert(0, Resource(what, name, delete, taken_over=True))

    def of_kind(self, what: str) -> list[Resource]:
        return [item for item in self._all if item.what == what]

    def has(self, name: str) -> bool:
        return any(item.name == name for item in self._all)

    def remove(self, item: Resource) -> None:
        self._all.remove(item)

    def delete_all(self) -> Iterator[str]:
        """Deletes everything, what costs first, and yields what was deleted. Warns about what was not.

        It is tried on for `CLOSING`. What is not yet deleted when the caller is interrupted is deleted by the next one.
        """
        with self._deleting:
            end = self.requests.clock() + CLOSING.total_seconds()
            count = 0
            while self._all:
                failed: dict[str, WorkflowError] = {}
                yield from self._delete_once(failed)
                count += 1
                if not self._all or not self._wait(count, end, failed):
                    self._warn_of_the_rest(failed)

    def _wait(self, count: int, end: float, failed: Mapping[str, WorkflowError]) -> bool:
        """Before another attempt to delete what is left; False when there was time enough for that."""
        self.note_left(self.left + [(made.what, made.name) for made in self._all])
        if count == 1 and failed:
            self.warn(
                f"Azure Batch: could not yet delete {' and '.join(failed)}; trying on for up to "
                f"{retry.duration(CLOSING.total_seconds())}. {next(iter(failed.values()))}"
            )
        left = end - self.requests.clock()
        if left <= 0:
            return False
        with self.requests.closing(left):
            return self.requests.sleep(min(left, max(0.2, self.requests.pause_before(count))))

    def _delete_once(self, failed: dict[str, WorkflowError]) -> Iterator[str]:
        """Asks once for the deletion of each thing. What is to be tried again stays; `failed` says why."""
        for item in sorted(self._all, key=self._place):
            try:
                with self.requests.closing(0):
                    existed = item.delete()
            except WorkflowError as e:
                failed[item.name] = e
                status = getattr(e, "status", None)
                if status is not None and status not in retry.HEALED_BY_TIME:
                    self._warn_of(item, e)
                    self._all.remove(item)
                    self.left.append((item.what, item.name))
                continue
            within = SETTLING if item.certain else APPEARING
            may_appear = item.what in APPEARING_KINDS and self.requests.clock() - item.since <= within
            if existed is None or existed or not may_appear:
                self._all.remove(item)
                if existed:
                    yield f"{item.what} {item.name}"

    def _place(self, item: Resource) -> tuple[int, int]:
        """What costs first, and what was made last."""
        return _ORDER.get(item.what, len(_ORDER)), -self._all.index(item)

    def _warn_of_the_rest(self, failed: Mapping[str, WorkflowError]) -> None:
        """The next run in this directory deletes what is still there."""
        for item in self._all:
            if item.name in failed:
                self._warn_of(item, failed[item.name])
        self.left += [(made.what, made.name) for made in self._all]
        self._all.clear()
        self.note_left(self.left)

    def _warn_of(self, item: Resource, error: WorkflowError) -> None:
        self.warn(
            f"Azure Batch: the {item.what} {item.name} could not be deleted ({str(error).rstrip('.')}). "
            f"{_consequence(item)}, until the next run in this directory deletes it, or you do{_by_hand(item)}."
        )


def _consequence(item: Resource) -> str:
    if item.what == POLICY:
        return "The tasks' SAS stay valid until they end"
    return "It may go on to cost money"


def _by_hand(item: Resource) -> str:
    command = {POOL: "az batch pool delete --pool-id", JOB: "az batch job delete --job-id"}.get(item.what)
    return f": {command} {item.name} --yes" if command else ""
