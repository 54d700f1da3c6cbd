"""Where downloads lie until they are whole, and what becomes of those whose process was killed."""

import errno
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.faults import proxy

from snakemake.azure.blob import locked_folder, temporary_files
from snakemake.azure.blob.files import SMALL, walk
from snakemake.azure.blob.store import BlobStore
from snakemake.azure.blob.temporary_files import PREFIX, replacing
from snakemake_storage_plugin_azblob import StorageProvider, StorageProviderSettings

from .conftest import content

# Gets a file and a directory half, says so, and waits.
KILLED = """
import sys
from pathlib import Path
from snakemake.azure.blob.temporary_files import replacing
copies = Path(sys.argv[1])
with replacing(copies / "box/out/file", copies) as file, replacing(copies / "box/out/dir", copies) as folder:
    file.write_text("half of it")
    folder.mkdir()
    (folder / "part").write_text("half of it")
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def process(monkeypatch):
    """As a process that has not downloaded anything."""
    folders = temporary_files._Folders()
    monkeypatch.setattr(temporary_files, "_folders", folders)
    yield folders
    folders.close()


@pytest.fixture
def copies(tmp_path):
    path = tmp_path / "copies"
    path.mkdir()
    return path


def started(copies: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(copies)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    return process


def put(copies: Path, name: str, text: str = "new") -> None:
    with replacing(copies / name, copies) as partial:
        partial.write_text(text)


def halves(copies: Path) -> list[str]:
    return sorted(p.name for p in copies.rglob("*") if p.is_file() and p.read_text() == "half of it")


def test_what_a_killed_process_has_left_is_removed_by_the_next_one(copies, process):
    killed = started(copies)
    killed.kill()
    killed.communicate()
    assert len(halves(copies)) == 2
    assert walk(copies / "box/out") == ([], [])  # it would be a part of the output
    put(copies, "box/x")
    assert halves(copies) == []
    process.close()
    assert content(copies) == {"box/out/": "", "box/x": "new"}


def test_what_a_living_process_has_begun_stays(copies):
    living = started(copies)
    put(copies, "box/x")
    assert len(halves(copies)) == 2
    living.communicate("")
    assert content(copies / "box") == {"out/dir/part": "half of it", "out/file": "half of it", "x": "new"}


def test_a_process_that_ends_takes_its_folder_along(copies):
    ended = started(copies)
    ended.communicate("")
    assert [p.name for p in copies.iterdir()] == ["box"]


def test_one_that_is_killed_before_it_has_locked_its_folder(copies):
    (copies / f"{PREFIX}begun").mkdir()
    put(copies, "x")
    assert not (copies / f"{PREFIX}begun").exists()


def test_a_folder_that_is_taken_for_a_leftover_before_it_is_locked(copies, monkeypatch):
    """Another process looks around at the wrong moment, and has the lock when this one wants it."""
    took = locked_folder._try_lock
    answers = iter([False])
    monkeypatch.setattr(locked_folder, "_try_lock", lambda file: next(answers, True) and took(file))
    put(copies, "x")
    assert (copies / "x").read_text() == "new"
    assert sum((p / "lock").exists() for p in copies.glob(f"{PREFIX}*")) == 2


def test_one_look_for_each_process(copies, monkeypatch):
    looks = []
    look = Path.glob
    monkeypatch.setattr(Path, "glob", lambda *a: looks.append(a) or look(*a))
    for n in range(5):
        put(copies, f"box/{n}")
    assert len(looks) == 1


@pytest.mark.parametrize("when", ["before", "during"])
def test_somebody_removes_all_copies(account, container, copies, monkeypatch, when):
    store, box = BlobStore(account, copies=copies), container.container_name
    container.upload_blob("x", b"1")
    store.fetch(box, "x", copies / "x")
    clean_up = iter([lambda: shutil.rmtree(copies)])
    if when == "before":
        next(clean_up)()
    utime = os.utime
    monkeypatch.setattr(os, "utime", lambda *a: next(clean_up, lambda: None)() or utime(*a))
    store.fetch(box, "x", copies / "y/x")
    assert (copies / "y/x").read_bytes() == b"1"
    assert len(list(copies.glob(f"{PREFIX}*/lock"))) == 1


def test_a_file_in_the_place_of_a_folder_is_known_before_anything_comes(copies):
    (copies / "box").write_text("a file")
    with pytest.raises(FileExistsError), replacing(copies / "box/x", copies):
        pytest.fail("it began")
    assert content(copies) == {"box": "a file"}


def test_a_name_that_is_gone_while_its_folder_is_there(copies):
    with pytest.raises(FileNotFoundError) as error, replacing(copies / "x", copies):
        pass
    assert error.type is FileNotFoundError


def _in_child(copies: Path) -> None:
    with replacing(copies / "y", copies) as partial:
        partial.write_text("of the child")
        os._exit(0 if partial.parent.name.startswith(PREFIX) else 1)


def test_a_forked_child_has_a_folder_of_its_own(copies):
    with replacing(copies / "x", copies) as partial:
        partial.write_text("new")
        child = multiprocessing.get_context("fork").Process(target=_in_child, args=(copies,))
        child.start()
        child.join(20)
        assert child.exitcode == 0
        assert [p.read_text() for p in copies.glob(f"{PREFIX}*/*-*")].count("of the child") == 1
        assert partial.read_text() == "new"
    assert (copies / "x").read_text() == "new"


def test_without_locks_it_lies_beside_its_target(copies, monkeypatch):
    """As on a network file system that has none: nobody could tell whose it is."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locked_folder.fcntl, "flock", refuse)
    with replacing(copies / "box/x", copies) as partial:
        partial.write_text("new")
        assert partial.parent == copies / "box"
    assert content(copies) == {"box/x": "new"}


def test_on_another_file_system_it_lies_beside_its_target(copies, small_disk):
    with replacing(small_disk / "x", copies) as partial:
        partial.write_text("new")
        assert partial.parent == small_disk
    assert content(small_disk) == {"x": "new"}


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_behind_a_bind_mount(copies, tmp_path, kind):
    """Which has the same device number, and no file can be renamed into it."""
    (tmp_path / "elsewhere").mkdir()
    (copies / "box").mkdir()
    mount = ["mount", "--bind", str(tmp_path / "elsewhere"), str(copies / "box")]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a directory can be mounted by root only")
    try:
        for text in ("old", "new"):
            with replacing(copies / "box/x", copies) as partial:
                assert partial.parent.parent == copies
                if kind == "directory":
                    partial.mkdir()
                    (partial / "y").write_text(text)
                else:
                    partial.write_text(text)
        assert content(copies / "box") == {"x/y" if kind == "directory" else "x": "new"}
        assert [p.name for p in copies.rglob("*-*") if p.parent != copies] == []
    finally:
        subprocess.run(["umount", str(copies / "box")], check=True)


PROGRAM = """
import logging, sys
from pathlib import Path
from snakemake.azure.blob.storage import StorageProvider
provider = StorageProvider(local_prefix=Path(sys.argv[1]), logger=logging.getLogger(), settings=None)
provider.object(sys.argv[2]).retrieve_object()
"""


def test_killed_in_a_download_and_started_again(azurite, container, copies):
    """By the provider: nothing of what came remains, nor does it lie beside what is there."""
    container.upload_blob("dir/in", os.urandom(3_000_000))
    query = f"az://{container.container_name}/dir/in"
    with proxy(azurite.port) as between:
        environ = {**os.environ, "AZ_BLOB_ACCOUNT_URL": between.url(azurite.sas_url())}
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(copies), query], env=environ)
        # What comes first is written before the rest is asked for.
        between.plan = lambda p: (
            process.kill() or "refuse" if p.is_content and len(between.seen) > 1 else None
        )
        assert process.wait(60) == -signal.SIGKILL
    assert max(p.stat().st_size for p in copies.rglob("*") if p.is_file()) == SMALL
    assert walk(copies / container.container_name) == ([], ["dir"])

    again = StorageProvider(
        local_prefix=copies,
        logger=logging.getLogger(__name__),
        settings=StorageProviderSettings(account_url=azurite.sas_url()),
    )
    again.object(query).retrieve_object()
    whole = [p for p in copies.rglob("*") if p.is_file() and p.stat().st_size]
    assert whole == [copies / container.container_name / "dir/in"]
