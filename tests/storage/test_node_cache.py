"""The node cache on the real service: who fetches what, and what is left when things go wrong."""

import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snakemake.azure.blob import node_cache as cache_module
from snakemake.azure.blob.files import Source
from snakemake.azure.blob.node_cache import NodeCache
from snakemake.azure.blob.store import BlobStore
from snakemake_storage_plugin_azblob import StorageProvider, StorageProviderSettings
from storage.caching import entries, gets, source_of
from storage.conftest import content

MIB = 1024 * 1024
LARGE = 20 * MIB  # four requests for its content
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def box(container) -> str:
    return container.container_name


class TestOnce:
    PROGRAM = """
import sys
from pathlib import Path
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.node_cache import NodeCache
from snakemake.azure.blob.store import BlobStore
account = BlobAccount.resolve()
store = BlobStore(account, cache=NodeCache(Path(sys.argv[1]), account.url, 0))
sys.stdin.readline()
for target in sys.argv[3:]:
    store.fetch(sys.argv[2], "in/large", Path(target))
"""

    def test_many_processes_at_once(self, azurite, cache, container, box, tmp_path):
        data = os.urandom(LARGE)
        container.upload_blob("in/large", data)
        environ = {**os.environ, "AZ_BLOB_ACCOUNT_URL": azurite.sas_url()}
        targets = [[str(tmp_path / f"{n}-{twice}") for twice in (0, 1)] for n in range(6)]
        mark = azurite.mark()
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", self.PROGRAM, str(cache.root.parent), box, *mine],
                env=environ,
                stdin=subprocess.PIPE,
            )
            for mine in targets
        ]
        for process in processes:
            process.stdin.write(b"\n")
            process.stdin.flush()
        assert [p.wait(120) for p in processes] == [0] * len(processes)
        for process in processes:
            process.stdin.close()
        assert gets(azurite, mark, "in/large") == 4  # 1, 8, 8 and 3 MiB: the content once
        assert all(Path(t).read_bytes() == data for mine in targets for t in mine)
        assert len(entries(cache)) == 1

    def test_what_was_just_seen_costs_no_request_and_else_one_without_content(
        self, azurite, task, container, box, tmp_path
    ):
        container.upload_blob("x", b"1234")
        task().fetch(box, "x", tmp_path / "a")
        mark = azurite.mark()
        task().fetch(box, "x", tmp_path / "b")
        assert [(r.method, r.status) for r in azurite.requests(mark)] == [("GET", 304)]
        second = task()
        second.head(box, "x")
        mark = azurite.mark()
        second.fetch(box, "x", tmp_path / "c")
        assert azurite.requests(mark) == []
        assert {(tmp_path / n).read_text() for n in "abc"} == {"1234"}

    def test_a_changed_blob_is_fetched_anew_whatever_was_seen_before(
        self, task, cache, container, box, tmp_path
    ):
        container.upload_blob("x", b"old")
        task().fetch(box, "x", tmp_path / "a")
        container.upload_blob("x", b"new and longer", overwrite=True)
        task().fetch(box, "x", tmp_path / "b")
        seen = task()
        seen.head(box, "x")
        seen.fetch(box, "x", tmp_path / "c")
        assert [(tmp_path / n).read_text() for n in "abc"] == ["old", "new and longer", "new and longer"]
        assert len(entries(cache)) == 1

    def test_copies_have_the_blobs_mtime(self, task, container, box, tmp_path):
        container.upload_blob("x", b"1")
        modified = container.get_blob_client("x").get_blob_properties().last_modified.timestamp()
        for n in range(2):
            assert task().fetch(box, "x", tmp_path / str(n)) == modified
            assert (tmp_path / str(n)).stat().st_mtime == modified

    def test_a_copy_of_its_own_for_a_job_that_changes_it(self, azurite, task, cache, box, tree, tmp_path):
        """As update() asks for: no link, whoever the task is."""
        store = task()
        store.upload_directory(box, "in", tree("made", {"x": "1", "y/z": "2"}))
        mark = azurite.mark()
        store.fetch(box, "in", tmp_path / "copy", shared=False)
        assert gets(azurite, mark, "in/x") == 1
        shares = {p.stat().st_ino for p in entries(cache)}
        found = [p for p in (tmp_path / "copy").rglob("*") if p.is_file()]
        assert content(tmp_path / "copy") == {"x": "1", "y/z": "2"} and len(shares) == 2
        assert all(p.stat().st_nlink == 1 and p.stat().st_ino not in shares for p in found)
        assert all(stat.S_IMODE(p.stat().st_mode) & stat.S_IWUSR for p in found)

    def test_a_directory_file_by_file(self, azurite, task, tree, box, tmp_path):
        files = {"a": "1", "deep/b": "2", "empty/": ""}
        BlobStore(task().account).upload_directory(box, "d", tree("in", files))
        for n in range(3):
            mark = azurite.mark()
            task().fetch(box, "d", tmp_path / f"out{n}")
            assert content(tmp_path / f"out{n}") == files
            fetched = [r.path for r in azurite.requests(mark) if r.method == "GET" and "/d/" in r.path]
            assert len(fetched) == (2 if n == 0 else 0)

    def test_accounts_and_containers_are_apart(self, cache, shared, tmp_path):
        other = NodeCache(shared, "https://other.blob.core.windows.net", 0)
        contents = iter([b"one", b"two", b"three"])
        for n, (node, box) in enumerate([(cache, "abc"), (other, "abc"), (cache, "abd")]):
            node.get(box, "x", tmp_path / str(n), "1", lambda _: source_of(next(contents)))
        assert [(tmp_path / str(n)).read_text() for n in range(3)] == ["one", "two", "three"]

    def test_a_missing_blob_is_missing_and_leaves_nothing(self, task, cache, box, tmp_path):
        from snakemake.azure.blob.errors import BlobError

        with pytest.raises(BlobError, match="no such blob or directory"):
            task().fetch(box, "x", tmp_path / "x")
        assert list(cache.root.iterdir()) == [] and not (tmp_path / "x").exists()

    def test_removed_blobs_leave_the_cache(self, task, cache, container, box, tmp_path):
        container.upload_blob("x", b"1")
        task().fetch(box, "x", tmp_path / "x")
        assert len(entries(cache)) == 1
        task().remove(box, "x")
        assert list(cache.root.iterdir()) == [] and (tmp_path / "x").read_text() == "1"


class TestFailures:
    HALF = """
import sys
from pathlib import Path
from snakemake.azure.blob.node_cache import NodeCache
from snakemake.azure.blob.files import Source
def write(path):
    path.write_bytes(b"half of ")
    print("half", flush=True)
    sys.stdin.read()
NodeCache(Path(sys.argv[1]), sys.argv[2], 0).get(
    sys.argv[3], "x", Path(sys.argv[4]), None, lambda _: Source("1", 16, 1.0, write)
)
"""

    def test_kill_9_of_the_downloader(self, task, cache, account, container, box, tmp_path):
        container.upload_blob("x", b"half of the data")
        first = subprocess.Popen(
            [sys.executable, "-c", self.HALF, str(cache.root.parent), account.url, box, str(tmp_path / "a")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with first, ThreadPoolExecutor() as pool:
            assert first.stdout.readline() == b"half\n"
            waiting = pool.submit(task().fetch, box, "x", tmp_path / "b")
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
            first.send_signal(signal.SIGKILL)
            waiting.result(30)
        assert (tmp_path / "b").read_bytes() == b"half of the data"
        assert not (tmp_path / "a").exists()
        assert [p.read_bytes() for p in entries(cache)] == [b"half of the data"]
        assert list(cache.root.glob("*/part")) == []

    @pytest.mark.parametrize("mode", [0o644, 0o444])
    def test_what_a_killed_task_left_is_not_written_to(self, task, cache, container, box, tmp_path, mode):
        """It was about to make its output the entry, of which `part` was then another name."""
        container.upload_blob("in/x", b"of the blob")
        output = tmp_path / "output"
        output.write_bytes(b"of the task")
        output.chmod(mode)
        task().fetch(box, "in/x", tmp_path / "first")  # makes the folder
        [entry] = entries(cache)
        entry.unlink()
        os.link(output, entry.with_name("part"))
        task().fetch(box, "in/x", tmp_path / "second")
        assert (tmp_path / "second").read_bytes() == b"of the blob"
        assert output.read_bytes() == b"of the task"

    def test_nobody_waits_for_ever_for_one_that_is_stuck(
        self, task, cache, container, box, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(cache_module, "STALLED", 0.2)
        container.upload_blob("x", b"1")
        with cache._slot(box, "x"):
            task().fetch(box, "x", tmp_path / "x")
        assert (tmp_path / "x").read_text() == "1" and entries(cache) == []

    def test_a_waiting_transfer_can_be_cancelled(self, task, cache, box, tmp_path):

        from snakemake.azure.blob.files import Cancellation, TransferCancelled, cancellable

        cancelled = Cancellation()

        def fetch():
            with cancellable(cancelled):
                task().fetch(box, "x", tmp_path / "x")

        with cache._slot(box, "x"), ThreadPoolExecutor() as pool:
            waiting = pool.submit(fetch)
            with pytest.raises(TimeoutError):
                waiting.result(0.2)
            cancelled.set()
            with pytest.raises(TransferCancelled):
                waiting.result(10)

    def test_a_failed_download_is_no_entry(self, cache, tmp_path):
        def fails(path):
            path.write_bytes(b"ha")
            raise RuntimeError("dropped")

        with pytest.raises(RuntimeError):
            cache.get("abc", "x", tmp_path / "x", None, lambda _: Source("1", 4, 1.0, fails))
        assert entries(cache) == [] and list(cache.root.glob("*/part")) == []
        assert cache.get("abc", "x", tmp_path / "x", "1", lambda _: source_of(b"half")) == 1_700_000_000.0
        assert (tmp_path / "x").read_text() == "half"

    def test_a_disk_that_fills_up_meanwhile(self, account, container, box, tmp_path, small_disk):
        container.upload_blob("x", os.urandom(6 * MIB))
        plenty = NodeCache(small_disk, account.url, 0, usage=lambda _: (1 << 40, 0, 1 << 40))
        BlobStore(account, cache=plenty).fetch(box, "x", tmp_path / "x")
        assert (tmp_path / "x").stat().st_size == 6 * MIB
        assert entries(plenty) == [] and list(plenty.root.glob("*/part")) == []

    def test_a_disk_without_room(self, account, container, box, tmp_path, small_disk):
        container.upload_blob("x", os.urandom(6 * MIB))
        cache = NodeCache(small_disk, account.url)
        BlobStore(account, cache=cache).fetch(box, "x", tmp_path / "x")
        assert (tmp_path / "x").stat().st_size == 6 * MIB and entries(cache) == []

    def test_a_directory_that_cannot_be_used_is_told_once(self, account, container, box, tmp_path, warnings):
        (tmp_path / "file").write_text("in the way")
        cache = NodeCache(tmp_path / "file", account.url, 0, warnings.append)
        store = BlobStore(account, cache=cache)
        (tmp_path / "in").write_text("1")
        store.upload(box, "x", tmp_path / "in")
        for n in range(2):
            store.fetch(box, "x", tmp_path / str(n))
            assert (tmp_path / str(n)).read_text() == "1"
        store.remove(box, "x")
        assert len(warnings) == 1 and "Not a directory" in warnings[0] and "no-node-cache" in warnings[0]

    def test_a_directory_that_others_can_write_to_is_not_used(self, cache, warnings, tmp_path):
        cache.root.mkdir()
        cache.root.chmod(0o777)
        cache.get("abc", "x", tmp_path / "x", None, lambda _: source_of(b"1"))
        assert (tmp_path / "x").read_text() == "1" and list(cache.root.iterdir()) == []
        assert len(warnings) == 1 and "not a private directory" in warnings[0]


class TestSwitch:
    def provider(self, azurite, tmp_path, **settings) -> StorageProvider:
        import logging

        given = StorageProviderSettings(account_url=azurite.sas_url(), **settings)
        return StorageProvider(
            local_prefix=tmp_path / "storage", logger=logging.getLogger(__name__), settings=given
        )

    @pytest.mark.parametrize("on_node", [True, False])
    @pytest.mark.parametrize("off", [True, False])
    def test_on_nodes_only_and_off_by_option(
        self, azurite, container, shared, tmp_path, monkeypatch, on_node, off
    ):
        monkeypatch.delenv("AZ_BATCH_NODE_SHARED_DIR", raising=False)
        if on_node:
            monkeypatch.setenv("AZ_BATCH_NODE_SHARED_DIR", str(shared))
        container.upload_blob("x", b"1")
        provider = self.provider(azurite, tmp_path, no_node_cache=off, node_cache_free_mb=0)
        thing = provider.object(f"az://{container.container_name}/x")
        thing.retrieve_object()
        assert thing.local_path().read_text() == "1"
        assert bool(list(shared.iterdir())) == (on_node and not off)

    def test_less_than_nothing_free(self, azurite, container, tmp_path):
        from snakemake_interface_common.exceptions import WorkflowError

        provider = self.provider(azurite, tmp_path, node_cache_free_mb=-1)
        with pytest.raises(WorkflowError, match="node-cache-free-mb is -1"):
            provider.object(f"az://{container.container_name}/x").exists()
