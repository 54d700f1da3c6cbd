"""What is asked for once, what is asked for again, and what at once, on a real Azurite."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from snakemake.azure.blob import metadata
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.entries import blob_of
from snakemake.azure.blob.listing import without_unwanted
from snakemake.azure.blob.store import BlobStore

from .asking import seen, wait_for_next_second


@pytest.fixture
def box(container):
    return container.container_name


@pytest.fixture
def fill(container):
    def put(count: int) -> list[str]:
        names = [f"d/{n}" for n in range(count)]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda name: container.upload_blob(name, b"x"), names))
        return names

    return put


class TestKnown:
    def test_one_request_for_all_time(self, azurite, store, box, container):
        container.upload_blob("x", b"1")
        mark = azurite.mark()
        assert [seen(store, box, "x").size for _ in range(3)] == [1, 1, 1]
        assert len(azurite.requests(mark)) == 1
        container.upload_blob("x", b"by someone else", overwrite=True)
        assert seen(store, box, "x").size == 1
        store.known.forget(box, ["x"])
        assert seen(store, box, "x").size == len(b"by someone else")

    def test_own_changes_count_at_once_and_without_a_request(self, azurite, store, box, tmp_path):
        for text in ("1", "22"):
            (tmp_path / "in").write_text(text)
            store.upload(box, "x", tmp_path / "in")
            mark = azurite.mark()
            found = seen(store, box, "x")
            assert azurite.requests(mark) == []
            assert found == blob_of(store.container(box).get_blob_client("x").get_blob_properties())
        store.touch(box, "x")
        mark = azurite.mark()
        found = seen(store, box, "x")
        assert azurite.requests(mark) == []
        assert found == blob_of(store.container(box).get_blob_client("x").get_blob_properties())
        store.remove(box, "x")
        assert store.head(box, "x") is None

    @pytest.mark.parametrize("change", ["upload", "touch", "remove"])
    def test_answers_older_than_an_own_change_do_not_count(
        self, store, box, container, tmp_path, monkeypatch, change
    ):
        """Another thread's question is on its way while the blob is changed."""
        (tmp_path / "in").write_text("22")
        changes = {
            "upload": lambda: store.upload(box, "x", tmp_path / "in"),
            "touch": lambda: store.touch(box, "x"),
            "remove": lambda: store.remove(box, "x"),
        }
        container.upload_blob("x", b"1")
        answered = metadata.blob_of

        def late(properties):
            with monkeypatch.context() as patch:
                patch.setattr(metadata, "blob_of", answered)
                changes[change]()
            return answered(properties)

        monkeypatch.setattr(metadata, "blob_of", late)
        old = seen(store, box, "x")
        monkeypatch.undo()
        new = store.head(box, "x")
        assert (new is None) if change == "remove" else (new is not None and new.etag != old.etag)

    def test_a_directorys_newest_blob_is_looked_for_once(self, azurite, store, box, container, tmp_path):
        (tmp_path / "in").write_text("1")
        container.upload_blob("d/e/x", b"1")
        mark = azurite.mark()
        old = store.newest_below(box, "d")
        assert [store.newest_below(box, "d") for _ in range(3)] == [old] * 3
        assert store.newest_below(box, "none") == 0.0
        assert len(azurite.requests(mark)) == 2
        wait_for_next_second(old)
        store.upload(box, "d/e/y", tmp_path / "in")
        new = store.newest_below(box, "d")
        assert new > old
        wait_for_next_second(new)
        container.upload_blob("d/z", b"by someone else")
        store.known.forget(box, ["d"])
        assert store.newest_below(box, "d") > new

    def test_nor_do_those_that_there_was_nothing(self, store, box, tmp_path, monkeypatch):
        (tmp_path / "in").write_text("1")
        looks = store.has_below

        def late(container: str, name: str) -> bool:
            found = looks(container, name)
            store.upload(container, name, tmp_path / "in")
            return found

        monkeypatch.setattr(store, "has_below", late)
        assert not store.exists(box, "x")
        assert store.exists(box, "x")

    def test_what_is_absent_is_asked_for_once_until_a_job_has_ended(self, azurite, store, box, container):
        mark = azurite.mark()
        assert not store.exists(box, "x")
        assert not store.exists(box, "x")
        assert len(azurite.requests(mark)) == 2  # for a blob, and for a directory
        container.upload_blob("x", b"1")
        store.known.forget(box, ["another"])
        assert store.exists(box, "x")


class TestMany:
    def test_one_after_the_other_they_are_a_listing_in_the_end(self, azurite, store, box, fill):
        names = fill(100)
        mark = azurite.mark()
        assert all(seen(store, box, name) for name in names)
        requests = azurite.requests(mark)
        assert (len(requests), sum(r.is_list for r in requests)) == (21, 1)
        assert store.head(box, "d/none") is None

    def test_a_listing_that_takes_long_is_not_repeated(self, store, box, fill, monkeypatch):
        """A listing of 3,500 blobs takes a second on Azure; an hour is no worse, and there is one."""
        names, listings = fill(60), []
        pages = store.pages

        def slow(*args, **options):
            listings.append(args)
            for _ in range(1000):
                store.known.ask()
            yield from pages(*args, **options)

        monkeypatch.setattr(store, "pages", slow)
        assert all(seen(store, box, name) for name in names)
        store.known.forget(box, names)
        store.look_at(box, names)
        assert all(seen(store, box, name) for name in names)
        assert len(listings) == 2

    def test_asked_for_at_once_they_are_a_listing(self, azurite, store, box, fill):
        names = fill(50)
        mark = azurite.mark()
        store.look_at(box, [*names, "d/none"])
        assert all(store.exists(box, name) for name in names)
        assert not store.exists(box, "d/none")
        assert [r.is_list for r in azurite.requests(mark)] == [True]

    def test_a_few_of_many_are_a_request_each(self, azurite, store, box, fill):
        names = fill(1000)
        store.look_at(box, names)  # from now on it is known that a listing has 1,000 entries
        store.known.forget(box, names)
        mark = azurite.mark()
        store.look_at(box, names[:24])
        assert all(seen(store, box, name) for name in names[:24])
        requests = azurite.requests(mark)
        assert (len(requests), sum(r.is_list for r in requests)) == (24, 0)

    def test_pages_may_be_shorter_than_they_could_be(self, azurite, store, box, fill, monkeypatch):
        names, whole = fill(60), store.pages

        def short(*args, **options):
            for page in whole(*args, **options):
                for at in range(0, page.entries, 7):
                    part = page.blobs[at : at + 7]
                    yield metadata.Page(part, [], len(part))
                    yield metadata.Page([], [], 0)

        monkeypatch.setattr(store, "pages", short)
        mark = azurite.mark()
        store.look_at(box, names)
        assert all(store.exists(box, name) for name in names)
        assert [r.is_list for r in azurite.requests(mark)] == [True]

    def test_what_is_known_is_not_asked_for(self, azurite, store, box, fill):
        names = fill(30)
        store.look_at(box, names)
        mark = azurite.mark()
        store.look_at(box, names)
        assert azurite.requests(mark) == []

    def test_directories_without_a_marker_are_there(self, store, box, container, fill):
        names = fill(30)
        container.upload_blob("d/folder/x", b"1")
        store.look_at(box, [*names, "d/folder"])
        assert store.exists(box, "d/folder")

    def test_without_permission_to_list_each_is_a_request(self, azurite, box, fill):
        names = fill(30)
        account = BlobAccount.resolve(account_url=azurite.sas_url(permission="r"), environ={})
        store = BlobStore(account)
        assert [seen(store, box, name).size for name in names] == [1] * 30
        store.known.forget(box, names)
        store.look_at(box, names)
        mark = azurite.mark()
        assert [seen(store, box, name).size for name in names] == [1] * 30
        assert azurite.requests(mark) == []


def test_listings_say_what_the_sdk_makes_of_them(store, box, container):
    """They are read past the SDK's own objects, see snakemake.azure.blob.listing."""
    container.upload_blob("d/ä ö&<>%20.txt", b"text")
    container.upload_blob("d/marked", b"", metadata={"HDI_isfolder": "true"})
    container.upload_blob("d/deep/x", b"")
    container.get_blob_client("d/leased").upload_blob(b"1")
    container.get_blob_client("d/leased").acquire_lease()
    flat = [blob_of(b) for b in container.list_blobs(name_starts_with="d/", include=["metadata"])]
    assert [b for page in store.pages(box, "d/") for b in page.blobs] == flat
    assert len({(b.is_folder, b.leased, b.size) for b in flat}) == 4
    [page] = store.pages(box, "d/", recursive=False)
    assert (len(page.blobs), page.directories, page.entries) == (3, ["d/deep"], 4)


@pytest.mark.parametrize("wanted", ["d/ä ö&<>%20.txt", "d/marked", "d/plain"])
def test_blobs_that_nobody_wants_are_counted_and_left_out(store, box, container, wanted):
    for name in ("a.txt", "deep/x", "marked", "plain", "ä ö&<>%20.txt", "z"):
        container.upload_blob(f"d/{name}", b"text")
    [page] = store.pages(box, "d/", recursive=False, wanted={wanted})
    [every] = store.pages(box, "d/", recursive=False)
    assert [b for b in every.blobs if b.name == wanted] == [b for b in page.blobs if b.name == wanted] != []
    assert len(page.blobs) < len(every.blobs) and (page.directories, page.entries) == (["d/deep"], 6)


def test_an_answer_that_looks_unlike_others_is_left_whole():
    body = b"<E><Blobs><Blob><Name>a</Name><![CDATA[</Blob><Blob><Name>b</Name>]]></Blob></Blobs></E>"
    assert without_unwanted(body, {"b"}) == (body, 0)
    assert without_unwanted(b"<E><Blobs /></E>", {"b"}) == (b"<E><Blobs /></E>", 0)
