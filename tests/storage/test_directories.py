"""Directories of blobs, on a real Azurite."""

from pathlib import Path

import pytest

from snakemake.azure.blob.entries import Blob, inside
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.store import FOLDER

from .asking import names, seen
from .conftest import content


@pytest.fixture
def box(container):
    return container.container_name


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
        listed = Blob(name=name, size=1, mtime=1.0)
        with pytest.raises(BlobError, match="cannot be a path below a local directory"):
            inside(box, "dir", listed)

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


def test_a_failed_swap_puts_back_what_was_there(store, box, container, tree, tmp_path, monkeypatch):
    container.upload_blob("dir/new", b"1")
    root = tree("copy", {"old": "x"})

    def refuse(self, target):
        raise PermissionError(target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        store.fetch(box, "dir", root)
    assert content(tmp_path) == {"copy/old": "x"}


def test_a_file_in_the_place_of_a_directory(store, box, container, tmp_path):
    container.upload_blob("a/b/c", b"1")
    (tmp_path / "a").write_text("an older copy")
    for path in ("a/c", "a/b/c"):
        with pytest.raises(BlobError, match="would lie below a file"):
            store.fetch(box, "a/b/c", tmp_path / path)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_markers_are_written_as_hadoop_and_azure_write_them(store, box, container, tree):
    store.upload_directory(box, "dir", tree("in", {}))
    properties = container.get_blob_client("dir").get_blob_properties()
    assert properties.metadata == FOLDER and properties.size == 0
