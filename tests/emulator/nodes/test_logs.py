"""The logs of nodes: which files cover a time, and how they grow."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from azure_batch_emulator.nodes import logs as node_logs
from azure_batch_emulator.nodes.logs import NodeLogs

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Now:
    time = START

    def __call__(self):
        return self.time


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def logs(tmp_path, now):
    return NodeLogs(tmp_path, now)


def test_files_of_a_time(logs, now, monkeypatch):
    monkeypatch.setattr(node_logs, "FILE_BYTES", 1)  # a file for each flush
    monkeypatch.setattr(node_logs, "BUFFER_CHARACTERS", 1)
    for minute in range(4):
        now.time = START + minute * MINUTE
        logs.write("n", f"minute {minute}")

    def texts(start, end=None):
        found = logs.files("n", START + start * MINUTE, None if end is None else START + end * MINUTE)
        return [file.read_text().split()[-1] for file in found]

    assert texts(0) == ["0", "1", "2", "3"]
    assert texts(1, 2) == ["1", "2"]
    assert texts(2.5) == ["3"]
    assert texts(1.2, 1.8) == texts(4) == []
    assert logs.files("other", START, None) == []


def test_what_has_been_written_is_there_at_once(logs, now):
    logs.write("n", "two\nlines" + "x" * 5000)
    (file,) = logs.files("n", START, None)
    (line,) = file.read_text().splitlines()
    assert line.startswith("2026-01-01T00:00:00Z two lines") and len(line) < 2100
    logs.write("n", "later")
    assert len(file.read_text().splitlines()) == 1, "kept back until somebody asks"
    assert logs.files("n", START, None) == [file] and len(file.read_text().splitlines()) == 2
    logs.remove("n")
    assert logs.files("n", START, None) == []


def test_the_oldest_go(logs, monkeypatch):
    monkeypatch.setattr(node_logs, "FILE_BYTES", 1)
    monkeypatch.setattr(node_logs, "BUFFER_CHARACTERS", 1)
    for number in range(node_logs.KEEP_FILES + 5):
        logs.write("n", str(number))
    found = {file.read_text().split()[-1] for file in logs.files("n", START, None)}
    assert found == {str(number) for number in range(5, node_logs.KEEP_FILES + 5)}


def test_asking_while_others_write_and_remove(tmp_path, monkeypatch):
    """A line is never seen by half, nor a file that has just gone."""
    monkeypatch.setattr(node_logs, "BUFFER_CHARACTERS", 20_000)  # more than is written at a time
    logs = NodeLogs(tmp_path, lambda: START)
    asked = threading.Event()

    def work(number):
        while not asked.is_set():
            for _ in range(30):
                logs.write("n", "x" * 1000)
            if number == 0:
                logs.remove("n")

    with ThreadPoolExecutor() as pool:
        working = [pool.submit(work, number) for number in range(2)]
        try:
            for _ in range(400):
                logs.files("n", START, None)
        finally:
            asked.set()
        assert [done.result() for done in working] == [None] * 2
