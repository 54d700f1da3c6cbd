"""A run's journal: whole lines as things happen, readable after a crash, gone on in by the run that takes over."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from snakemake.azure.report import journal
from snakemake.azure.report.journal import EVENTS, Journal, JournalFile

START = datetime(2026, 1, 1, tzinfo=UTC)


class Scene:
    def __init__(self):
        self.lines, self.warned, self.now = [], [], START
        self.journal = Journal(self.lines.append, lambda: self.now, self.warned.append)

    def later(self, seconds):
        self.now += timedelta(seconds=seconds)

    @property
    def events(self):
        return list(journal.parse(self.lines))

    def names(self):
        return [(e.event, e.values.get("node"), e.values.get("state")) for e in self.events]


@pytest.fixture
def scene():
    return Scene()


def node(name, state="idle", used=0):
    return SimpleNamespace(
        id=name,
        state=state,
        is_dedicated=True,
        allocation_time=START,
        state_transition_time=START,
        running_task_slots_count=used,
    )


def test_a_line_has_its_time_and_its_values(scene):
    scene.journal.note("size", pool="p", dedicated=2, spot=0)
    assert json.loads(scene.lines[0]) == {
        "at": "2026-01-01T00:00:00.000Z", "event": "size", "pool": "p", "dedicated": 2, "spot": 0,
    }  # fmt: skip
    assert scene.lines[0].endswith(b"}\n") and scene.lines[0].count(b"\n") == 1


def test_looks_note_what_is_new(scene):
    scene.journal.saw("p", [node("a", "starting"), node("b")])
    scene.later(15)
    scene.journal.saw("p", [node("a", "starting"), node("b", "running", 2)])
    scene.later(15)
    scene.journal.saw("p", [node("b", "running", 2)])
    assert scene.names() == [
        ("node", "a", "starting"), ("node", "b", "idle"), ("node", "b", "running"), ("node_gone", "a", None),
    ]  # fmt: skip
    assert journal.time(scene.events[-1].values["seen"]) == START + timedelta(seconds=15)
    assert (
        scene.journal.has_nodes("p") and scene.journal.knows("p", "b") and not scene.journal.knows("p", "a")
    )


def test_what_a_node_wrote_goes_in(scene):
    row = dict.fromkeys(EVENTS["used"], 1) | {"task": "t"}
    scene.journal.note_used(json.dumps(row).encode() + b"\n{broken\n" + b'{"task":"u","from_later":1}\n')
    assert [e.values["task"] for e in scene.events] == ["t", "u"] and not scene.warned


def test_what_goes_wrong_is_said_once_and_ends_nothing(scene):
    def full(line):
        raise OSError(28, "No space left on device")

    broken = Journal(full, lambda: START, scene.warned.append)
    broken.note("size", pool="p", dedicated=1, spot=0)
    broken.saw("p", [node("a")])
    broken.note_used(b"{}")
    assert scene.warned == ["Azure Batch: the run's journal has gaps (OSError: No space left on device)."]


def test_a_value_that_no_event_has_is_a_mistake(scene):
    scene.journal.note("size", nodes=1)
    assert not scene.lines and len(scene.warned) == 1


def test_without_a_file_nothing_is_noted():
    silent = Journal()
    silent.saw("p", [node("a")])
    assert silent.knows("p", "b") and not silent.has_nodes("p")


def test_a_crash_leaves_it_readable(scene, tmp_path):
    path = tmp_path / "made" / "run.jsonl"
    first = Journal(JournalFile(path).append, lambda: START)
    first.note("run", run="one")
    first.saw("p", [node("a"), node("b")])
    path.write_bytes(path.read_bytes() + b'{"at":"2026-01-01T00:00')
    before = journal.read(path)
    assert [e.event for e in before] == ["run", "node", "node"]
    second = Journal(JournalFile(path).append, lambda: START + timedelta(hours=1))
    second.go_on(before)
    second.note("run", run="two")
    second.saw("p", [node("a")])
    after = journal.read(path)[3:]
    assert [(e.event, e.values.get("node")) for e in after] == [
        ("run", None),
        ("node", "a"),
        ("node_gone", "b"),
    ]
    assert journal.time(after[-1].values["seen"]) == START
    assert journal.of_runs(path.parent, ["two"]) == path and journal.of_runs(path.parent, ["three"]) is None
