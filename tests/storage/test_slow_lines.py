"""Uploads over a line that is slow, and one that is slower than a request may take: what is sent, and how often."""

import os
import re
import threading
from base64 import b64decode
from collections import Counter
from urllib.parse import unquote

import pytest
from support.listening import Answer, listening

from misc.bench.line import line
from snakemake.azure.blob import pace, service, session, upload
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.files import CHUNK, MIB
from snakemake.azure.blob.parallel import CHUNKS, Room, room
from snakemake.azure.blob.store import BlobStore


@pytest.fixture(autouse=True)
def own_pace(monkeypatch):
    """What one test finds out about its line is not for the next one."""
    mine = pace.Pace(room)
    monkeypatch.setattr(upload, "pace", mine)
    yield mine
    while room._all < CHUNKS:
        room.widen()


def test_what_makes_progress_is_sent_once(azurite, container, tmp_path, monkeypatch):
    """The line takes twice as long for the file, and half again as long for a block, as it may stand still."""
    monkeypatch.setattr(session, "STALLED", 1.0)
    data = os.urandom(CHUNK + MIB)
    (tmp_path / "in").write_bytes(data)
    with line(azurite.port, 40, 0.05) as slow:
        there = BlobAccount.resolve(
            account_url=azurite.sas_url().replace(f":{azurite.port}", f":{slow.port}")
        )
        BlobStore(there).upload(container.container_name, "x", tmp_path / "in")
        assert slow.up.carried < 1.1 * len(data)
    assert container.download_blob("x").readall() == data
    committed, _ = container.get_blob_client("x").get_block_list("committed")
    assert [block.size for block in committed] == [CHUNK, MIB]


def test_after_a_time_out_blocks_are_smaller(own_pace, azurite, tmp_path, monkeypatch):
    """A server that is deaf to requests of more than a MiB, for longer than one waits for an answer."""
    monkeypatch.setattr(service, "ANSWERING", 0.5)
    data = os.urandom(3 * MIB + 5)
    (tmp_path / "in").write_bytes(data)
    bodies: dict[bytes, bytes] = {}
    committed: list[str] = []
    sizes: Counter[int] = Counter()
    released = threading.Event()

    def answer(arrival):
        if arrival.method == "GET":
            return Answer(404)  # no blocks are left there
        sizes[len(arrival.body)] += 1
        if len(arrival.body) > MIB:
            released.wait(30)
        if block := re.search("blockid=([^&]+)", arrival.target):
            bodies[b64decode(unquote(block[1]))] = arrival.body
        elif "comp=blocklist" in arrival.target:
            committed.append(arrival.body.decode())
        return Answer(201, headers={"ETag": '"1"', "Last-Modified": "Fri, 27 Nov 2026 00:00:00 GMT"})

    with listening(answer) as server:
        store = BlobStore(BlobAccount.resolve(account_url=f"{server.url}/devstoreaccount1?{azurite.sas()}"))
        store.upload("box", "x", tmp_path / "in")
        released.set()
    listed = [b64decode(unquote(name)) for name in re.findall("<Latest>([^<]+)", committed[-1])]
    assert b"".join(bodies[name] for name in listed) == data
    assert [n for n in sizes if n > MIB] == [len(data)] and sizes[len(data)] == 1
    assert own_pace.size < CHUNK and room._all < CHUNKS


def test_those_sent_together_count_once_and_what_arrives_lifts_it():
    mine = pace.Pace(Room(8))
    for _ in range(6):
        mine.timed_out(CHUNK)
    assert mine.size == CHUNK // 4
    mine.timed_out(CHUNK // 4)
    assert mine.size == CHUNK // 16
    mine.timed_out(CHUNK // 16)
    assert mine.size == pace.SMALLEST
    for _ in range(5 * pace.ENOUGH):
        mine.arrived()
    assert mine.size == CHUNK


def test_room_for_less():
    small = Room(2)
    small.enter()
    small.shrink()
    assert not small.enter_if_spare()
    small.leave()
    small.enter()
    small.widen()
    assert small.enter_if_spare()
