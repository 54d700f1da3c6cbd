"""Files of the node cache: who may write to what, outputs that stay, and what goes when the disk is full."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from snakemake.azure.blob import node_cache as cache_module
from snakemake.azure.blob.locked_folder import Entry, locked
from snakemake.azure.blob.node_cache import NodeCache
from storage.caching import entries, gets, source_of
from storage.conftest import content

MIB = 1024 * 1024
LARGE = 20 * MIB  # four requests for its content
AS_ROOT = os.geteuid() == 0
NOBODY = 65534


@pytest.fixture
def box(container) -> str:
    return container.container_name


class TestEviction:
    """The disk has 100 bytes here, and the cache's own files are all that takes space."""

    @pytest.fixture
    def small(self, shared, account, monkeypatch) -> NodeCache:
        cache = NodeCache(shared, account.url, free=20)
        # As for a user who is not root: what is handed out takes no space.
        monkeypatch.setattr(NodeCache, "_copies", False)
        monkeypatch.setattr(NodeCache, "_link", lambda _, path, target: os.link(path, target) or True)
        cache._usage = lambda _: (100, 0, 100 - sum(p.stat().st_size for p in entries(cache)))
        return cache

    def get(self, cache: NodeCache, target: Path, name: str, size: int) -> None:
        data = name.encode() * size
        cache.get("abc", name, target / name, "1", lambda _: source_of(data))
        assert (target / name).read_bytes() == data
        (target / name).unlink()

    def held(self, cache: NodeCache) -> str:
        return "".join(sorted(p.read_bytes()[:1].decode() for p in entries(cache)))

    def test_what_was_not_used_for_the_longest_goes_first(self, small, tmp_path):
        for name in "abc":
            self.get(small, tmp_path, name, 25)
        self.get(small, tmp_path, "a", 25)
        self.get(small, tmp_path, "d", 25)
        assert self.held(small) == "acd"
        self.get(small, tmp_path, "e", 50)
        assert self.held(small) == "de"

    def test_uses_are_in_order_however_close_they_are(self, shared):
        folders = [shared / str(n) for n in range(50)]
        for folder in folders:
            with locked(folder, 1.0) as slot:
                slot.used()
        times = [(folder / "lock").stat().st_mtime_ns for folder in folders]
        assert times == sorted(set(times))

    def test_what_never_fits_evicts_all_that_is_unused_and_is_not_kept(self, small, tmp_path):
        self.get(small, tmp_path, "a", 25)
        self.get(small, tmp_path, "z", 81)
        assert self.held(small) == ""

    def test_what_someone_is_at_stays(self, small, tmp_path):
        self.get(small, tmp_path, "a", 60)
        with small._slot("abc", "a"):
            self.get(small, tmp_path, "b", 60)
            assert self.held(small) == "a"

    def test_no_output_is_kept_on_a_full_disk(self, small, tmp_path):
        small._usage = lambda _: (100, 95, 5)
        path = tmp_path / "out"
        path.write_text("1")
        small.put("abc", "x", path, path.stat(), "1", 1.0)
        assert entries(small) == []

    def test_by_default_a_quarter_of_the_disk_stays_free(self, shared, account, tmp_path):
        cache = NodeCache(shared, account.url, usage=lambda _: (400, 300, 100))
        self.get(cache, tmp_path, "a", 1)
        assert entries(cache) == []
        free = 100
        cache._usage = lambda _: (400, 400 - free, free)
        free = 102
        self.get(cache, tmp_path, "a", 1)
        assert len(entries(cache)) == 1

    def test_eviction_and_use_at_once(self, small, tmp_path):
        def use(worker: int) -> None:
            target = tmp_path / str(worker)
            target.mkdir()
            mine = NodeCache(small.root.parent, small._account_url, 20, warnings.append, small._usage)
            for n in range(60):
                self.get(mine, target, "abcdef"[(n * (worker + 1)) % 6], 25)

        warnings: list[str] = []

        def usage(_):
            sizes = 0
            for path in entries(small):
                with suppress(FileNotFoundError):
                    sizes += path.stat().st_size
            return 100, 0, 100 - sizes

        small._usage = usage
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(use, range(6)))
        assert not warnings


def as_user(uid: int, work) -> None:
    """Runs `work` in a child process of that user; what it raises fails the test."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if AS_ROOT:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            work()
            code = 0
        except BaseException:  # noqa: BLE001
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def open_dir(tmp_path_factory):
    """A directory that every user may write to, in one that every user may reach."""
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o777)
        yield path


class TestWriters:
    def no_ask(self, unless):
        raise AssertionError("asked although the ETag is known")

    @pytest.mark.skipif(not AS_ROOT, reason="root writes through permissions")
    def test_root_gets_a_file_of_its_own(self, cache, tmp_path):
        for n in range(2):
            ask = self.no_ask if n else lambda _: source_of(b"content")
            cache.get("abc", "x", tmp_path / str(n), "1", ask)
            target = tmp_path / str(n)
            assert target.read_bytes() == b"content" and target.stat().st_nlink == 1
            assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask()
            with target.open("r+b") as file:
                file.write(b"changed")

    def test_another_user_cannot_open_it_for_writing(self, open_dir):
        def work():
            cache = NodeCache(open_dir, "https://a", 0, warn=fail)
            for n in range(2):
                target = open_dir / str(n)
                cache.get("abc", "x", target, "1", self.no_ask if n else lambda _: source_of(b"content"))
                assert target.read_bytes() == b"content"
                if cache._reflinks:
                    continue
                assert target.stat().st_nlink == n + 2
                assert stat.S_IMODE(target.stat().st_mode) == 0o444
                for mode in ("r+b", "ab", "wb"):
                    with pytest.raises(PermissionError):
                        target.open(mode)

        as_user(NOBODY, work)

    def test_who_makes_it_writable_harms_no_later_task(self, open_dir):
        def work():
            cache = NodeCache(open_dir, "https://a", 0, warn=fail)
            cache.get("abc", "x", open_dir / "0", "1", lambda _: source_of(b"content"))
            (open_dir / "0").chmod(0o644)
            (open_dir / "0").write_bytes(b"changed")
            cache.get("abc", "x", open_dir / "1", "1", lambda _: source_of(b"content"))
            assert (open_dir / "1").read_bytes() == b"content"

        as_user(NOBODY, work)

    @pytest.mark.skipif(not AS_ROOT, reason="takes two users")
    def test_another_users_cache_is_another(self, open_dir):
        NodeCache(open_dir, "https://a", 0).get("abc", "x", open_dir / "0", "1", lambda _: source_of(b"mine"))

        def work():
            theirs = NodeCache(open_dir, "https://a", 0, warn=fail)
            theirs.get("abc", "x", open_dir / "1", "1", lambda _: source_of(b"mine"))
            mine = next(p for p in open_dir.iterdir() if p.name.endswith("-0"))
            with pytest.raises(PermissionError):
                list(mine.iterdir())
            assert len(entries(theirs)) == 1

        as_user(NOBODY, work)

    @pytest.mark.skipif(not AS_ROOT, reason="takes two users")
    def test_a_shared_directory_of_someone_else(self, open_dir):
        (open_dir / "shared").mkdir(mode=0o755)

        def work():
            told: list[str] = []
            cache = NodeCache(open_dir / "shared", "https://a", 0, told.append)
            for n in range(2):
                cache.get("abc", "x", open_dir / str(n), "1", lambda _: source_of(b"content"))
                assert (open_dir / str(n)).read_bytes() == b"content"
            assert len(told) == 1 and "Permission denied" in told[0]

        as_user(NOBODY, work)

    def test_an_entry_that_was_written_to_is_dropped(self, cache, tmp_path):
        cache.get("abc", "x", tmp_path / "0", "1", lambda _: source_of(b"content"))
        (entry,) = entries(cache)
        entry.chmod(0o644)
        entry.write_bytes(b"changed")  # of the same size
        cache.get("abc", "x", tmp_path / "1", "1", lambda _: source_of(b"content"))
        assert (tmp_path / "1").read_bytes() == b"content"

    def test_an_entry_that_is_written_to_during_the_copy_is_not_handed_out(
        self, cache, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(NodeCache, "_link", lambda *_: False)
        cache._reflinks = False
        cache.get("abc", "x", tmp_path / "0", "1", lambda _: source_of(b"content"))
        (entry,) = entries(cache)
        entry.chmod(0o644)
        room = cache._room

        def writer(needed):  # the last thing before the copy
            entry.write_bytes(b"torn")
            return room(needed)

        monkeypatch.setattr(cache, "_room", writer)
        cache.get("abc", "x", tmp_path / "1", "1", lambda _: source_of(b"content"))
        assert (tmp_path / "1").read_bytes() == b"content"


def umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def fail(message: str) -> None:
    raise AssertionError(message)


class TestOutputs:
    def test_an_output_is_there_for_the_next_task(self, azurite, task, cache, box, tmp_path):
        out = tmp_path / "out"
        data = os.urandom(LARGE)
        out.write_bytes(data)
        out.chmod(0o755)
        task().upload(box, "x", out)
        (entry,) = entries(cache)
        if not cache._reflinks:
            assert entry.stat().st_ino == out.stat().st_ino  # no bytes were copied
        assert stat.S_IMODE(out.stat().st_mode) == 0o755
        out.unlink()  # as Snakemake does at the task's end
        mark = azurite.mark()
        task().fetch(box, "x", tmp_path / "in")
        assert gets(azurite, mark, "x") == 0
        assert (tmp_path / "in").read_bytes() == data
        assert not (tmp_path / "in").stat().st_mode & 0o111

    def test_while_its_maker_still_has_it_others_get_copies(self, azurite, task, box, tmp_path):
        out = tmp_path / "out"
        out.write_text("content")
        task().upload(box, "x", out)
        mark = azurite.mark()
        task().fetch(box, "x", tmp_path / "in")
        assert gets(azurite, mark, "x") == 0
        with out.open("a") as file:
            file.write(" and more")
        assert (tmp_path / "in").read_text() == "content"
        task().fetch(box, "x", tmp_path / "again")
        assert (tmp_path / "again").read_text() == "content"
        assert gets(azurite, mark, "x") == 1

    def test_one_that_is_changed_during_the_upload_is_not_kept(self, cache, tmp_path):
        out = tmp_path / "out"
        out.write_text("before")
        before = out.stat()
        while out.stat().st_mtime_ns == before.st_mtime_ns:  # the file system's clock may tick every few ms
            out.write_text("after!")
        cache.put("abc", "x", out, before, "1", 1.0)
        assert entries(cache) == [] and list(cache.root.glob("*/part")) == []

    def test_one_with_several_names_or_a_link_is_copied_if_small_and_else_left(self, cache, tmp_path):
        out = tmp_path / "out"
        for size, kept in [(10, 1), (cache_module.SMALL + 1, 0)]:
            out.unlink(missing_ok=True)
            out.write_bytes(bytes(size))
            (tmp_path / f"other{size}").hardlink_to(out)
            cache.put("abc", str(size), out, out.stat(), "1", 1.0)
            assert len([e for e in entries(cache) if f"~{size}~" in e.name]) == (
                kept or bool(cache._reflinks)
            )
        (tmp_path / "link").symlink_to(out)
        cache.put("abc", "link", tmp_path / "link", (tmp_path / "link").stat(), "1", 1.0)
        assert len(entries(cache)) == 1 + bool(cache._reflinks)

    def test_an_output_replaces_what_was_cached(self, azurite, task, cache, container, box, tmp_path):
        container.upload_blob("x", b"old")
        task().fetch(box, "x", tmp_path / "old")
        (tmp_path / "new").write_text("new")
        task().upload(box, "x", tmp_path / "new")
        mark = azurite.mark()
        task().fetch(box, "x", tmp_path / "in")
        assert (tmp_path / "in").read_text() == "new" and gets(azurite, mark, "x") == 0
        assert (tmp_path / "old").read_text() == "old" and len(entries(cache)) == 1

    def test_a_directory(self, azurite, task, tree, box, tmp_path):
        files = {"a": "1", "deep/b": "2", "empty/": ""}
        task().upload_directory(box, "d", tree("in", files))
        mark = azurite.mark()
        task().fetch(box, "d", tmp_path / "out")
        assert content(tmp_path / "out") == files
        assert not [r for r in azurite.requests(mark) if r.method == "GET" and "/d/" in r.path]

    def test_an_upload_does_not_wait_for_a_reader(self, task, cache, box, tmp_path):
        (tmp_path / "x").write_text("1")
        with cache._slot(box, "x"):
            task().upload(box, "x", tmp_path / "x")
        assert entries(cache) == []


def test_an_evicted_lock_is_no_lock(shared):
    """Who waited for a lock that its holder removed takes the new one under that name."""
    folder = shared / "x"
    first = locked(folder, 1.0)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(locked, folder, 30.0)
        with pytest.raises(TimeoutError):
            waiting.result(0.1)
        first.remove()
        first.__exit__()
        with waiting.result(10) as second:
            assert (folder / "lock").exists()
            assert locked(folder, 0.0) is None
            assert second.entry() is None


def test_names_of_entries_come_back(shared):
    for etag in ("0x8DC1", "a~b/c%", "W/x"):
        made = Entry.in_folder(shared, etag, 3, 12.0)
        made.path.write_text("abc")
        os.utime(made.path, (12, 12))
        assert Entry.at(made.path) == made
