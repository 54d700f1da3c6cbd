"""Blobs as files, on a real Azurite."""

import gzip
import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure.storage.blob import BlobClient, ContentSettings

from snakemake.azure.blob import files as files_module
from snakemake.azure.blob import store as store_module
from snakemake.azure.blob.account import BlobAccount
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
from snakemake.azure.blob.store import FOLDER, BlobStore

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


def seen(store: BlobStore, box: str, name: str) -> store_module.Blob:
    blob = store.head(box, name)
    assert blob is not None
    return blob


def names(store: BlobStore, box: str, prefix: str = "") -> list[str]:
    return [b.name for blobs, _ in store.pages(box, prefix) for b in blobs]


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


class TestDirectories:
    FILES = {"a.txt": "1", "deep/er/b c#%+.txt": "2", "deep/c.txt": "3", "nothing/": "", "deep/none/": ""}

    def test_there_and_back(self, store, box, tree, tmp_path):
        store.upload_directory(box, "out/dir", tree("in", self.FILES))
        mtime = store.fetch(box, "out/dir", tmp_path / "copy")
        assert content(tmp_path / "copy") == self.FILES
        assert (tmp_path / "copy").stat().st_mtime == mtime
        assert (tmp_path / "copy/a.txt").stat().st_mtime == seen(store, box, "out/dir/a.txt").mtime

    def test_an_empty_one_exists(self, store, box, tree, tmp_path):
        store.upload_directory(box, "out/dir", tree("in", {}))
        assert seen(store, box, "out/dir").is_folder
        store.fetch(box, "out/dir", tmp_path / "copy")
        assert (tmp_path / "copy").is_dir() and content(tmp_path / "copy") == {}

    def test_what_the_rule_no_longer_makes_is_removed(self, store, box, container, tree, tmp_path):
        store.upload_directory(box, "out/dir", tree("first", self.FILES))
        container.upload_blob("out/dir-other/x", b"a neighbour")
        store.upload_directory(box, "out/dir", tree("second", {"a.txt": "new", "d/e": "new"}))
        store.fetch(box, "out/dir", tmp_path / "copy")
        assert content(tmp_path / "copy") == {"a.txt": "new", "d/e": "new"}
        assert "out/dir-other/x" in names(store, box)

    def test_a_download_takes_the_place_of_an_older_copy(self, store, box, tree, tmp_path):
        store.upload_directory(box, "dir", tree("in", {"a": "1"}))
        tree("copy", {"old/file": "x"})
        store.fetch(box, "dir", tmp_path / "copy")
        assert content(tmp_path) == {"in/a": "1", "copy/a": "1"}

    def test_one_that_others_made_has_no_marker(self, store, box, container, tmp_path):
        container.upload_blob("dir/x/y", b"1")
        assert store.head(box, "dir") is None and store.has_below(box, "dir")
        store.fetch(box, "dir", tmp_path / "copy")
        assert content(tmp_path / "copy") == {"x/y": "1"}

    def test_snakemakes_own_timestamp_stays_here(self, store, box, tree):
        store.upload_directory(box, "dir", tree("in", {".snakemake_timestamp": "", "a": "1"}))
        assert names(store, box) == ["dir", "dir/a"]

    def test_links_are_followed(self, store, box, tree, tmp_path):
        root = tree("in", {"a": "1"})
        tree("elsewhere", {"b": "2"})
        (root / "link").symlink_to("a")
        (root / "folder").symlink_to(tmp_path / "elsewhere")
        store.upload_directory(box, "dir", root)
        assert names(store, box) == ["dir", "dir/a", "dir/folder/b", "dir/link"]

    def test_links_that_lead_nowhere_or_around_are_errors(self, store, box, tree):
        broken = tree("broken", {"a": "1"})
        (broken / "link").symlink_to("missing")
        with pytest.raises(BlobError, match="broken link"):
            store.upload_directory(box, "dir", broken)
        around = tree("around", {"a/b": "1"})
        (around / "a/up").symlink_to(around)
        with pytest.raises(BlobError, match="directory around it"):
            store.upload_directory(box, "dir", around)
        assert names(store, box) == []

    @pytest.mark.parametrize("name", ["dir/../../../etc/evil", "dir/./x", "dir//x", f"dir/{'x' * 256}"])
    def test_a_name_that_would_leave_the_directory_is_refused(self, store, box, container, tmp_path, name):
        # The SDK's client sends such names as they are; a proxy or client in between might not.
        container.upload_blob("dir/good", b"1")
        listed = store_module.Blob(name=name, size=1, mtime=1.0)
        with pytest.raises(BlobError, match="cannot be a path below a local directory"):
            store_module.inside(box, "dir", listed)

    def test_a_file_and_a_directory_of_the_same_name(self, store, box, container, tmp_path):
        for name in ("dir/a", "dir/a/b", "dir/c"):
            container.upload_blob(name, b"1")
        with pytest.raises(BlobError, match="az://.*/dir/a: there are blobs below this name as well"):
            store.fetch(box, "dir", tmp_path / "copy")
        assert content(tmp_path) == {}

    @pytest.mark.parametrize("metadata", [FOLDER, None])
    def test_markers_that_end_with_a_slash(self, store, box, container, tmp_path, metadata):
        """As rclone makes them, and what copies from other clouds."""
        for name in ("dir/", "dir/none/", "dir/some/"):
            container.upload_blob(name, b"", metadata=metadata)
        container.upload_blob("dir/some/x", b"1")
        store.fetch(box, "dir", tmp_path / "copy")
        assert content(tmp_path / "copy") == {"none/": "", "some/x": "1"}
        store.remove(box, "dir")
        assert names(store, box) == []

    def test_directories_around_what_is_stored_stay(self, store, box, container, tree):
        """With a hierarchical namespace each is a blob with the metadata, which cannot be removed before its content."""
        for name in ("dir", "dir/a", "dir/a/b", "dir/old", "dir/old/c"):
            store.mark_folder(box, name)
        container.upload_blob("dir/file", b"that was none")
        store.upload_directory(box, "dir", tree("in", {"a/b/x": "1", "file/y": "2"}))
        assert names(store, box) == ["dir", "dir/a", "dir/a/b", "dir/a/b/x", "dir/file/y"]

    @pytest.mark.parametrize("entry", ["a./", "a\\b/", "\udcff", "\udcff/"])
    def test_names_that_azure_would_change(self, store, box, tree, entry):
        root = tree("in", {"a": "1", entry: ""})
        with pytest.raises(BlobError, match=r"dot|backslash|not UTF-8"):
            store.upload_directory(box, "dir", root)
        assert names(store, box) == []

    def test_remove_takes_all_and_no_more(self, store, box, container, tree):
        store.upload_directory(box, "out/dir", tree("in", self.FILES))
        container.upload_blob("out/dir.txt", b"")
        container.upload_blob("out/dir-2/x", b"")
        store.remove(box, "out/dir")
        assert names(store, box) == ["out/dir-2/x", "out/dir.txt"]
        store.remove(box, "out/dir")

    def test_many_files(self, store, box, tree, tmp_path):
        files = {f"{n % 7}/{n}": str(n) for n in range(60)}
        store.upload_directory(box, "dir", tree("in", files))
        store.fetch(box, "dir", tmp_path / "copy")
        assert content(tmp_path / "copy") == files


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


def wait_for_next_second(mtime: float) -> None:
    """Last-Modified has whole seconds."""
    deadline = time.monotonic() + 5
    while int(time.time()) <= int(mtime):
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def test_a_failed_swap_puts_back_what_was_there(store, box, container, tree, tmp_path, monkeypatch):
    container.upload_blob("dir/new", b"1")
    root = tree("copy", {"old": "x"})

    def refuse(self, target):
        raise PermissionError(target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        store.fetch(box, "dir", root)
    assert content(tmp_path) == {"copy/old": "x"}


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


class TestSeen:
    def test_one_request_for_one_second(self, azurite, account, box, container):
        now = [0.0]
        store = BlobStore(account, clock=lambda: now[0])
        container.upload_blob("x", b"1")
        mark = azurite.mark()
        assert [seen(store, box, "x").size for _ in range(3)] == [1, 1, 1]
        assert len(azurite.requests(mark)) == 1
        container.upload_blob("x", b"22", overwrite=True)
        now[0] = 1.0
        assert seen(store, box, "x").size == 2

    def test_many_of_a_directory_are_one_listing(self, azurite, account, box, container):
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda n: container.upload_blob(f"d/{n}", b"x" * n), range(100)))
        store = BlobStore(account, clock=lambda: 0.0)
        mark = azurite.mark()
        assert [seen(store, box, f"d/{n}").size for n in range(100)] == list(range(100))
        requests = azurite.requests(mark)
        assert (len(requests), sum(r.is_list for r in requests)) == (21, 1)
        assert store.head(box, "d/none") is None

    def test_many_without_permission_to_list(self, azurite, box, container):
        for n in range(30):
            container.upload_blob(f"d/{n}", b"")
        account = BlobAccount.resolve(account_url=azurite.sas_url(permission="r"), environ={})
        store = BlobStore(account, clock=lambda: 0.0)
        assert [seen(store, box, f"d/{n}").size for n in range(30)] == [0] * 30

    def test_own_changes_count_at_once(self, account, box, tmp_path):
        store = BlobStore(account, clock=lambda: 0.0)
        for text in ("1", "22"):
            (tmp_path / "in").write_text(text)
            store.upload(box, "x", tmp_path / "in")
            assert seen(store, box, "x").size == len(text)
        store.remove(box, "x")
        assert store.head(box, "x") is None

    @pytest.mark.parametrize("change", ["upload", "touch", "remove"])
    def test_answers_older_than_an_own_change_do_not_count(
        self, account, box, container, tmp_path, monkeypatch, change
    ):
        """Another thread's listing is on its way while the blob is changed."""
        store = BlobStore(account)
        (tmp_path / "in").write_text("22")
        changes = {
            "upload": lambda: store.upload(box, "x", tmp_path / "in"),
            "touch": lambda: store.touch(box, "x"),
            "remove": lambda: store.remove(box, "x"),
        }
        container.upload_blob("x", b"1")
        answered = store_module.blob_of

        def late(properties):
            with monkeypatch.context() as patch:
                patch.setattr(store_module, "blob_of", answered)
                changes[change]()
            return answered(properties)

        monkeypatch.setattr(store_module, "blob_of", late)
        old = seen(store, box, "x")
        monkeypatch.undo()
        new = store.head(box, "x")
        assert (new is None) if change == "remove" else (new is not None and new.etag != old.etag)

    def test_a_directorys_newest_blob_is_looked_for_once_in_a_moment(
        self, azurite, account, box, container, tmp_path
    ):
        now = [100.0]
        store = BlobStore(account, clock=lambda: now[0])
        (tmp_path / "in").write_text("1")
        container.upload_blob("d/e/x", b"1")
        mark = azurite.mark()
        old = store.newest_below(box, "d")
        assert [store.newest_below(box, "d") for _ in range(3)] == [old] * 3
        assert store.newest_below(box, "none") == 0.0
        assert len(azurite.requests(mark)) == 2
        wait_for_next_second(old)
        now[0] += 0.1
        store.upload(box, "d/e/y", tmp_path / "in")
        new = store.newest_below(box, "d")
        assert new > old
        wait_for_next_second(new)
        container.upload_blob("d/z", b"by someone else")
        now[0] += 1.0
        assert store.newest_below(box, "d") > new

    def test_nor_do_those_that_there_was_nothing(self, account, box, tmp_path, monkeypatch):
        store = BlobStore(account)
        (tmp_path / "in").write_text("1")
        looks = store.has_below

        def late(container: str, name: str) -> bool:
            found = looks(container, name)
            store.upload(container, name, tmp_path / "in")
            return found

        monkeypatch.setattr(store, "has_below", late)
        assert not store.exists(box, "x")
        assert store.exists(box, "x")

    def test_absence_is_asked_for_each_time(self, account, box, container):
        store = BlobStore(account, clock=lambda: 0.0)
        assert store.head(box, "x") is None
        container.upload_blob("x", b"1")
        assert seen(store, box, "x").size == 1


@pytest.mark.parametrize("size", [0, 1000, 2 * SMALL])
def test_what_has_a_content_encoding_comes_as_it_is_stored(store, box, container, tmp_path, size):
    """The SDK would decode it, and then a part of it makes no sense, nor does the blob's size."""
    data = gzip.compress(os.urandom(size)) if size else b""
    md5 = bytearray(hashlib.md5(data, usedforsecurity=False).digest())
    settings = ContentSettings(content_encoding="gzip", content_md5=md5)
    container.upload_blob("x", data, content_settings=settings)
    store.fetch(box, "x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == data


def test_a_file_in_the_place_of_a_directory(store, box, container, tmp_path):
    container.upload_blob("a/b/c", b"1")
    (tmp_path / "a").write_text("an older copy")
    for path in ("a/c", "a/b/c"):
        with pytest.raises(BlobError, match="would lie below a file"):
            store.fetch(box, "a/b/c", tmp_path / path)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


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


def test_markers_are_written_as_hadoop_and_azure_write_them(store, box, container, tree):
    store.upload_directory(box, "dir", tree("in", {}))
    properties = container.get_blob_client("dir").get_blob_properties()
    assert properties.metadata == FOLDER and properties.size == 0
