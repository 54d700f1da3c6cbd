"""Files of tasks that go on meanwhile: what has been seen may be gone by the next look."""

import shutil

import pytest

from azure_batch_emulator.nodes import files
from azure_batch_emulator.protocol.errors import BatchError


@pytest.fixture
def root(tmp_path):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "file").write_text("1")
    (tmp_path / "b").write_text("2")
    return tmp_path


def test_a_directory_that_goes_while_it_is_listed(root):
    listed = files.walk(root, recursive=True)
    assert next(listed).name == "a"
    shutil.rmtree(root / "a")
    assert [entry.name for entry in listed] == ["b"]


def test_a_directory_that_becomes_a_file(root):
    listed = files.walk(root, recursive=True)
    next(listed)
    shutil.rmtree(root / "a")
    (root / "a").touch()
    assert [entry.name for entry in listed] == ["b"]


def test_a_root_that_has_gone(tmp_path):
    assert list(files.walk(tmp_path / "none", recursive=True)) == []


def test_a_file_that_goes_before_it_is_read(root):
    found = files.find(root, "a/file")
    shutil.rmtree(root / "a")
    with pytest.raises(BatchError, match="FileNotFound"):
        files.open_for_reading(found)


@pytest.mark.parametrize("recursive", [True, False])
def test_what_goes_before_it_is_deleted_is_deleted(root, recursive):
    found = files.find(root, "a")
    shutil.rmtree(root / "a")
    files.delete(found, recursive)


def test_only_what_is_empty_is_deleted_without_recursive(root):
    with pytest.raises(BatchError, match="OperationInvalidForCurrentState"):
        files.delete(files.find(root, "a"), recursive=False)
    files.delete(files.find(root, "a/deep"), recursive=False)
    assert not (root / "a" / "deep").exists()


def test_links_in_a_circle_are_not_listed(root):
    (root / "a").mkdir(exist_ok=True)
    (root / "a" / "loop").symlink_to("loop")
    (root / "a" / "up").symlink_to(root / "a")
    found = {entry.name for entry in files.walk(root, recursive=True)}
    assert "a/up" in found and "a/loop" not in found
    with pytest.raises(BatchError):
        files.find(root, "a/loop")
