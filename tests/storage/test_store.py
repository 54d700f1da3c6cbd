"""Blobs as files, on a real Azurite."""

import gzip
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.storage.blob import BlobClient, ContentSettings

from snakemake.azure.blob import files as files_module
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.files import (
    CHUNK,
    MIB,
    SMALL,
    Cancellation,
    TransferCancelled,
    block_size,
    cancellable,
    content_type,
)
from snakemake.azure.blob.store import FOLDER

from .asking import names, seen, wait_for_next_second
from .conftest import content

ODD_NAMES = [  # one per kind
    "a b.txt",
    "ünïcode/日本.txt",
    "hash#tag.txt",
    "per%20cent%.txt",
    "plus+minus.txt",
    "q?m&e=.txt",
    "a'b\"c.txt",
]


@pytest.fixture
def box(container):
    return container.container_name


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_file_comes_back_as_it_went(store, box, container, tmp_path, name):
    (tmp_path / "in").write_bytes(b"content of " + name.encode())
    store.upload(box, name, tmp_path / "in")
    assert [b.name for b in container.list_blobs()] == [name]
    store.fetch(box, name, tmp_path / "copy" / name)
    assert (tmp_path / "copy" / name).read_bytes() == b"content of " + name.encode()
    store.remove(box, name)
    assert store.head(box, name) is None


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, CHUNK, CHUNK + 1, SMALL + CHUNK, 3 * CHUNK + 12345])
def test_sizes_around_the_chunk(store, box, tmp_path, size):
    data = os.urandom(size)
    (tmp_path / "in").write_bytes(data)
    store.upload(box, "x", tmp_path / "in")
    store.fetch(box, "x", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


def test_a_small_file_is_one_request_each_way(azurite, store, box, tmp_path):
    (tmp_path / "in").write_text("x")
    mark = azurite.mark()
    store.upload(box, "x", tmp_path / "in")
    store.fetch(box, "x", tmp_path / "out")
    assert [r.method for r in azurite.requests(mark)] == ["PUT", "GET"]


def test_an_upload_replaces_and_a_download_too(store, box, tmp_path):
    for text in ("longer than the second", "second"):
        (tmp_path / "in").write_text(text)
        store.upload(box, "x", tmp_path / "in")
    (tmp_path / "out").write_text("was here before, and longer")
    store.fetch(box, "x", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "second"
    assert seen(store, box, "x").size == 6


def test_the_copy_has_the_blobs_mtime(store, box, container, tmp_path):
    container.upload_blob("x", b"1")
    mtime = store.fetch(box, "x", tmp_path / "x")
    assert mtime == container.get_blob_client("x").get_blob_properties().last_modified.timestamp()
    assert (tmp_path / "x").stat().st_mtime == mtime == seen(store, box, "x").mtime


def test_a_failed_download_leaves_what_was_there(store, box, tmp_path):
    (tmp_path / "x").write_text("before")
    with pytest.raises(BlobError, match="no such blob or directory") as error:
        store.fetch(box, "x", tmp_path / "x")
    assert error.value.is_missing
    assert content(tmp_path) == {"x": "before"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "text/csv"),
        ("plot.svg", "image/svg+xml"),
        ("reads.fastq.gz", "application/gzip"),
        ("a.vcf.bz2", "application/x-bzip2"),
        ("a.unknown-kind", "application/octet-stream"),
    ],
)
def test_content_type(name, expected):
    assert content_type(name) == expected


def test_content_type_is_set_and_no_encoding_is(store, box, container, tmp_path):
    (tmp_path / "in").write_bytes(b"\x1f\x8b not really")
    store.upload(box, "r.json.gz", tmp_path / "in")
    settings = container.get_blob_client("r.json.gz").get_blob_properties().content_settings
    assert (settings.content_type, settings.content_encoding) == ("application/gzip", None)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, CHUNK),
        (50_000 * CHUNK, CHUNK),
        (50_000 * CHUNK + 1, CHUNK + MIB),
        (10 * 1024**4, 210 * MIB),
        (50_000 * 4000 * MIB, 4000 * MIB),
    ],
)
def test_blocks_fit_into_50_000(size, expected):
    assert block_size(size) == expected
    assert expected * 50_000 >= size


def test_a_file_that_no_blob_can_hold():
    with pytest.raises(BlobError, match="split it"):
        block_size(50_000 * 4000 * MIB + 1)


def test_larger_blocks_for_larger_files_are_really_used(store, box, container, tmp_path, monkeypatch):
    monkeypatch.setattr(files_module, "MAX_BLOCKS", 2)
    with (tmp_path / "in").open("wb") as file:
        file.truncate(20 * MIB)
    store.upload(box, "x", tmp_path / "in")
    committed, _ = container.get_blob_client("x").get_block_list("all")
    assert [b.size for b in committed] == [10 * MIB, 10 * MIB]


class TestTouch:
    def test_last_modified_moves_and_all_else_stays(self, store, box, container):
        blob = container.upload_blob(
            "x", b"1", metadata={"made": "by me"}, content_settings=ContentSettings(content_type="text/csv")
        )
        before = blob.get_blob_properties()
        wait_for_next_second(before.last_modified.timestamp())
        store.touch(box, "x")
        after = blob.get_blob_properties()
        assert after.last_modified > before.last_modified
        assert after.metadata == {"made": "by me"}
        assert after.content_settings.content_type == "text/csv"
        assert blob.download_blob().readall() == b"1"
        assert seen(store, box, "x").mtime == after.last_modified.timestamp()

    def test_what_is_replaced_meanwhile_stays_as_it_is_then(self, store, box, container, monkeypatch):
        old = container.upload_blob("x", b"", metadata=FOLDER)
        ask = BlobClient.get_blob_properties

        def late(client, **options):
            found = ask(client, **options)
            old.upload_blob(b"a file", overwrite=True)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(BlobClient, "get_blob_properties", late)
            store.touch(box, "x")
        assert old.get_blob_properties().metadata == {}
        assert old.download_blob().readall() == b"a file"

    def test_a_directory_keeps_its_marker(self, store, box, tree):
        store.upload_directory(box, "dir", tree("in", {"a": "1"}))
        before = store.head(box, "dir")
        wait_for_next_second(before.mtime)
        store.touch(box, "dir")
        after = store.head(box, "dir")
        assert after.is_folder and after.mtime > before.mtime

    def test_a_directory_without_a_marker_gets_one(self, store, box, container):
        container.upload_blob("dir/x", b"1")
        store.touch(box, "dir")
        assert seen(store, box, "dir").is_folder

    def test_nothing_there(self, store, box):
        with pytest.raises(BlobError, match="no such blob"):
            store.touch(box, "x")
        assert names(store, box) == []


def test_removing_what_is_not_there_is_fine(store, box):
    store.remove(box, "x")
    store.remove("no-such-container", "x")


class TestContainers:
    def test_created_with_the_first_write_only(self, azurite, store, tmp_path):
        name = f"new-{os.urandom(6).hex()}"
        (tmp_path / "in").write_text("x")
        assert store.head(name, "x") is None
        assert not store.has_below(name, "x")
        assert names(store, name) == []
        assert not azurite.service().get_container_client(name).exists()
        store.upload(name, "x", tmp_path / "in")
        mark = azurite.mark()
        store.upload(name, "y", tmp_path / "in")
        assert len(azurite.requests(mark)) == 1
        assert names(store, name) == ["x", "y"]

    def test_created_by_several_at_once(self, azurite, store, tmp_path):
        name = f"new-{os.urandom(6).hex()}"
        (tmp_path / "in").write_text("x")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: store.upload(name, str(n), tmp_path / "in"), range(8)))
        assert len(names(store, name)) == 8


@pytest.mark.parametrize("size", [0, 1000, 2 * SMALL])
def test_what_has_a_content_encoding_comes_as_it_is_stored(store, box, container, tmp_path, size):
    """The SDK would decode it, and then a part of it makes no sense, nor does the blob's size."""
    data = gzip.compress(os.urandom(size)) if size else b""
    md5 = bytearray(hashlib.md5(data, usedforsecurity=False).digest())
    settings = ContentSettings(content_encoding="gzip", content_md5=md5)
    container.upload_blob("x", data, content_settings=settings)
    store.fetch(box, "x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == data


def test_a_cancelled_transfer_stops_and_leaves_nothing(azurite, store, box, tmp_path):
    with (tmp_path / "in").open("wb") as file:
        file.truncate(4 * CHUNK)
    event = Cancellation()
    with cancellable(event):
        store.upload(box, "x", tmp_path / "in")
        event.set()
        with pytest.raises(TransferCancelled):
            store.upload(box, "y", tmp_path / "in")
        with pytest.raises(TransferCancelled):
            store.fetch(box, "x", tmp_path / "out")
    assert names(store, box) == ["x"]
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
