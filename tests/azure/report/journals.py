"""Journals as runs write them, made by hand, in seconds from their start."""

from datetime import UTC, datetime, timedelta

from snakemake.azure.report import journal
from snakemake.azure.report.journal import Journal

START = datetime(2026, 1, 1, tzinfo=UTC)


class Written:
    """A journal of one pool `p` of nodes with 4 slots at 3.6 (Spot 0.36) an hour, so that a second is 0.001."""

    def __init__(self, **pool):
        self.lines, self.failed, self.now = [], [], START
        self.journal = Journal(self.lines.append, lambda: self.now, self.failed.append)
        self.note(0, "run", run="one", lease_minutes=30)
        self.note(0, "pool", **{
            "pool": "p", "vm_size": "Standard_D4ds_v5", "vcpus": 4, "memory_mib": 16384, "slots": 4, "own": True,
            "price": 3.6, "spot_price": 0.36, "price_kind": "listed", "spot_price_kind": "listed",
            "currency": "USD", "price_source": "prices of a test, as of 2026-01-01",
        } | pool)  # fmt: skip

    def at(self, seconds):
        return START + timedelta(seconds=seconds)

    def note(self, seconds, event, /, **values):
        self.now = self.at(seconds)
        self.journal.note(event, **values)

    def node(self, seconds, name="n", state="idle", allocated=0, since=None, spot=False):
        since = self.at(seconds if since is None else since)
        self.note(
            seconds, "node", pool="p", node=name, state=state, spot=spot,
            allocated=self.at(allocated), since=since, used_slots=0,
        )  # fmt: skip

    def task(self, name, start, end, rule="map", slots=1, node="n", success=True, used=None, why="", **asked):
        code = asked.pop("exit_code", 0 if success else 1)
        self.note(start, "submitted", task=name, rule=rule, pool="p", slots=slots, **asked)
        self.note(
            end, "ended", task=name, pool="p", node=node, started=self.at(start), ended=self.at(end),
            success=success, exit_code=code, why=why, ran=True, service_fault=False,
        )  # fmt: skip
        if used is not None:
            self.note(end, "used", task=name, node=node, **used)

    def gone(self, seconds):
        self.note(seconds, "pool_gone", pool="p", how="deleted")

    @property
    def events(self):
        assert not self.failed
        return list(journal.parse(self.lines))
