"""What is asked for once, and what is asked for again, on a real Azurite."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from snakemake.azure.blob import looks as looks_module
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.store import BlobStore

from .looking import seen, wait_for_next_second


@pytest.fixture
def box(container):
    return container.container_name


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
        answered = looks_module.blob_of

        def late(properties):
            with monkeypatch.context() as patch:
                patch.setattr(looks_module, "blob_of", answered)
                changes[change]()
            return answered(properties)

        monkeypatch.setattr(looks_module, "blob_of", late)
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
