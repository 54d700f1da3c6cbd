"""A task whose run is over stores and removes nothing, also what it had begun before; against Azurite."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.faults import proxy

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.fence import TOKEN, Fence, RunIsOver, RunToken
from snakemake.azure.blob.store import BlobStore

LARGE = 9 * 1024 * 1024  # bytes of a file that goes in blocks


class Scene:
    """A container in which runs have tasks, each with a store of its own."""

    def __init__(self, azurite, container, folder):
        self.azurite, self.container, self.folder = azurite, container.container_name, folder
        self.client = container

    def account(self, url=None) -> BlobAccount:
        return BlobAccount(url=url or self.azurite.url, name=self.azurite.account, key=self.azurite.key)

    def token(self, run: str) -> RunToken:
        return RunToken(self.account(), f"{self.container}/prefix", run)

    def task(self, run: str, task: str = "task", url=None) -> BlobStore:
        """The store of a task, with a token that is read as a task reads it."""
        environ = {
            TOKEN: self.token(run).name,
            "AZ_BATCH_TASK_ID": task,
            "AZ_BLOB_ACCOUNT_URL": url or self.azurite.url,
            "AZ_BLOB_ACCOUNT_KEY": self.azurite.key,
        }
        return BlobStore(
            self.account(url),
            fence=lambda store: Fence.of_task(store.account, lambda: store.service, environ),
        )

    def store(self, store: BlobStore, name: str, content: bytes) -> None:
        path = self.folder / f"file-{threading.get_ident()}"
        path.write_bytes(content)
        store.upload(self.container, name, path)

    def read(self, name: str) -> bytes:
        return self.client.download_blob(name).readall()


@pytest.fixture
def scene(azurite, container, tmp_path) -> Scene:
    return Scene(azurite, container, tmp_path)


def test_without_a_token_nothing_is_fenced(account):
    assert Fence.of_task(account, lambda: None, {}) is None


@pytest.mark.parametrize("size", [3, LARGE])
def test_a_task_stores_while_its_run_goes_on_and_not_after(scene, size):
    scene.token("one").allow()
    store = scene.task("one")
    scene.store(store, "x", b"1" * size)
    scene.store(store, "x", b"2" * size)
    assert scene.read("x") == b"2" * size
    scene.token("one").delete()
    with pytest.raises(RunIsOver, match="its run is over"):
        scene.store(scene.task("one"), "x", b"3" * size)
    assert scene.read("x") == b"2" * size


def test_tasks_that_another_run_took_over_go_on(scene):
    scene.token("one").allow(["Kept"])
    scene.store(scene.task("one", "kept"), "x", b"kept")
    with pytest.raises(RunIsOver, match="another run has the task's job"):
        scene.store(scene.task("one", "ended"), "x", b"ended")
    assert scene.read("x") == b"kept"


def test_nothing_is_removed_touched_or_protected_after_the_end(scene):
    scene.client.upload_blob("x", b"x")
    scene.client.upload_blob("folder/y", b"y")
    before = scene.client.get_blob_client("x").get_blob_properties().etag
    for change in ("remove", "touch", "protect", "mark_folder"):
        for name in ("x", "folder"):
            with pytest.raises(RunIsOver):
                getattr(scene.task("one"), change)(scene.container, name)
    assert scene.client.get_blob_client("x").get_blob_properties().etag == before
    assert scene.read("folder/y") == b"y"


def test_a_task_removes_what_is_there_and_what_is_not(scene):
    scene.token("one").allow()
    scene.client.upload_blob("x", b"x")
    scene.client.upload_blob("folder/y", b"y")
    store = scene.task("one")
    for name in ("x", "folder", "nothing"):
        store.remove(scene.container, name)
    assert [blob.name for blob in scene.client.list_blobs() if "token" not in blob.name] == []


class HeldUp:
    """A line to storage on which the first request of a kind is held up until it is let go."""

    def __init__(self, faults, is_held):
        self.waits, self.go, self._is_held = threading.Event(), threading.Event(), is_held
        faults.plan = self.plan

    def plan(self, passing):
        if not self.waits.is_set() and self._is_held(passing):
            self.waits.set()
            self.go.wait(60)


def is_write(passing):
    return passing.method == "PUT" and "/x" in passing.path and "comp=block&" not in f"{passing.path}&"


@pytest.mark.parametrize("size", [3, LARGE])
@pytest.mark.parametrize("there_before", [False, True])
def test_the_race_is_lost_by_the_task_of_the_run_that_is_over(scene, azurite, size, there_before):
    """The old task has read its token, and its upload is under way, when the next run begins and its task stores."""
    scene.token("old").allow()
    if there_before:
        scene.client.upload_blob("x", b"before")
    with proxy(azurite.port) as line, ThreadPoolExecutor(1) as threads:
        held = HeldUp(line, is_write)
        ghost = scene.task("old", url=line.url(azurite.url))
        writing = threads.submit(scene.store, ghost, "x", b"o" * size)
        try:
            assert held.waits.wait(60)
            scene.token("old").allow([])
            scene.token("new").allow()
            new = scene.task("new")
            new.remove(scene.container, "x")
            scene.store(new, "x", b"n" * size)
        finally:
            held.go.set()
        with pytest.raises(RunIsOver):
            writing.result(60)
    assert scene.read("x") == b"n" * size


def test_what_the_old_task_still_gets_in_is_overwritten(scene, azurite):
    """Its upload overtakes that of the new task, which had seen nothing there."""
    scene.token("old").allow()
    scene.token("new").allow()
    with proxy(azurite.port) as line, ThreadPoolExecutor(1) as threads:
        held = HeldUp(line, is_write)
        writing = threads.submit(scene.store, scene.task("new", url=line.url(azurite.url)), "x", b"new")
        try:
            assert held.waits.wait(60)
            scene.store(scene.task("old"), "x", b"old")
            scene.token("old").allow([])
        finally:
            held.go.set()
        writing.result(60)
    assert scene.read("x") == b"new"


def test_an_old_task_that_begins_late_does_not_remove_what_the_new_one_made(scene, azurite):
    scene.token("old").allow()
    scene.client.upload_blob("x", b"before")
    with proxy(azurite.port) as line, ThreadPoolExecutor(1) as threads:
        held = HeldUp(line, lambda passing: passing.method == "DELETE")
        removing = threads.submit(scene.task("old", url=line.url(azurite.url)).remove, scene.container, "x")
        try:
            assert held.waits.wait(60)
            scene.token("old").allow([])
            scene.client.upload_blob("x", b"new", overwrite=True)
        finally:
            held.go.set()
        with pytest.raises(RunIsOver):
            removing.result(60)
    assert scene.read("x") == b"new"


def test_one_reading_does_for_the_files_of_a_directory(scene, azurite, tmp_path):
    scene.token("one").allow()
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}").write_bytes(b"x")
    mark = azurite.mark()
    scene.task("one").upload_directory(scene.container, "many", folder)
    asked = [r for r in azurite.requests(mark) if r.method == "GET" and r.path.endswith("token")]
    assert len(asked) == 1
