"""Of a run as a whole, by its journal: who ran what, from when to when, and how it ended."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from snakemake.azure.report.journal import Event


@dataclass(frozen=True)
class Outage:
    """A service that did not answer, for so long as is known; None while it goes on."""

    service: str
    why: str
    began: datetime
    seconds: float | None = None


@dataclass(frozen=True)
class RemovedNode:
    """A broken node that made room for another one, and why."""

    node: str
    pool: str
    at: datetime
    why: str


@dataclass
class Facts:
    """runs: their names, the first one's first, and each further one took over from the one before; how: the word of
    the journal for the end of the last one, empty if there is none; silences: from when to when no client was there;
    requests: by service."""

    runs: list[str] = field(default_factory=list)
    account: str = ""
    prefix: str = ""
    workflow: str = ""
    version: str = ""
    began: datetime | None = None
    last: datetime | None = None
    how: str = ""
    silences: list[tuple[datetime, datetime]] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    removed: list[RemovedNode] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)

    @property
    def duration(self) -> timedelta:
        return self.last - self.began if self.began and self.last else timedelta()


def facts(events: Iterable[Event]) -> Facts:
    """What a journal's events tell, in their order."""
    found = Facts()
    for event in events:
        values = event.values
        if event.event == "run":
            _begin(found, event)
        elif event.event == "run_over":
            found.how = str(values.get("how") or "")
        elif event.event == "outage":
            waited = timedelta(seconds=values.get("seconds") or 0)
            found.outages.append(
                Outage(str(values.get("service")), str(values.get("why")), event.at - waited)
            )
        elif event.event == "outage_over":
            _end_outage(found, event)
        elif event.event == "node_removed":
            node, pool, why = (str(values.get(name) or "") for name in ("node", "pool", "why"))
            found.removed.append(RemovedNode(node, pool, event.at, why))
        elif event.event == "requests":
            for service, number in (values.get("services") or {}).items():
                found.requests[service] = found.requests.get(service, 0) + number
        found.last = max(filter(None, (found.last, event.at)))
    return found


def _begin(found: Facts, event: Event) -> None:
    values = event.values
    if found.last is not None and found.runs:
        found.silences.append((found.last, max(found.last, event.at)))
    found.runs.append(str(values.get("run") or ""))
    found.began = found.began or event.at
    found.how = ""
    for name in ("account", "prefix", "workflow", "version"):
        setattr(found, name, str(values.get(name) or getattr(found, name)))


def _end_outage(found: Facts, event: Event) -> None:
    for i, outage in enumerate(found.outages):
        if outage.service == event.values.get("service") and outage.seconds is None:
            seconds = event.values.get("seconds")
            lasted = (
                float(seconds)
                if isinstance(seconds, int | float)
                else (event.at - outage.began).total_seconds()
            )
            found.outages[i] = Outage(outage.service, outage.why, outage.began, lasted)
            return
