"""Files that somebody still writes to while they are uploaded: a blob is a state that the file had."""

import os
from collections.abc import Iterator

import pytest

from snakemake.azure.blob import files as files_module
from snakemake.azure.blob import upload as upload_module
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.files import CHUNK, MIB
from snakemake.azure.blob.upload import TRIES, Upload

SIZES = [10, MIB, MIB + 1, CHUNK, 2 * CHUNK + 1]


def append(path):
    with path.open("ab") as file:
        file.write(b"more")


def overwrite(path):
    with path.open("r+b") as file:
        file.write(os.urandom(8))


def cut(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.fixture
def box(container):
    return container.container_name


@pytest.fixture
def path(tmp_path, request):
    file = tmp_path / "in"
    file.write_bytes(os.urandom(request.param))
    os.utime(file, (1, 1))  # the clock of file systems ticks every few milliseconds only
    return file


def disturb(monkeypatch, changes: Iterator) -> None:
    """After each look into the file somebody makes the next change."""
    read = Upload._read

    def disturbed(self, file, start, length):
        try:
            return read(self, file, start, length)
        finally:
            if change := next(changes, None):
                change(self._path)

    monkeypatch.setattr(Upload, "_read", disturbed)


@pytest.mark.parametrize("path", SIZES, indirect=True)
@pytest.mark.parametrize("change", [append, overwrite, cut])
def test_it_goes_up_as_it_is_after_the_change(store, container, box, path, monkeypatch, change):
    disturb(monkeypatch, iter([change]))
    store.upload(box, "x", path)
    assert container.download_blob("x").readall() == path.read_bytes()


@pytest.mark.parametrize("path", SIZES[::2], indirect=True)
@pytest.mark.parametrize("change", [append, overwrite])
def test_one_that_does_not_come_to_rest_is_no_blob(store, container, box, path, monkeypatch, change):
    container.upload_blob("x", b"before")
    disturb(monkeypatch, iter([change] * 100))
    with pytest.raises(
        BlobError, match=rf"^az://{box}/x: {path} is written to while it is uploaded; the rule"
    ):
        store.upload(box, "x", path)
    assert container.download_blob("x").readall() == b"before"


@pytest.mark.parametrize("path", [20 * MIB], indirect=True)
@pytest.mark.parametrize("tries", [1, TRIES])
def test_a_part_that_is_read_again_to_be_sent_and_is_gone(store, container, box, path, monkeypatch, tries):
    monkeypatch.setattr(files_module, "MAX_BLOCKS", 2)
    monkeypatch.setattr(upload_module, "BUFFERED", MIB)
    monkeypatch.setattr(upload_module, "TRIES", tries)
    part, cuts = upload_module._Part.__init__, iter([cut])

    def late(self, file, start, *rest):
        part(self, file, start, *rest)
        if change := next(cuts, None):
            change(path)

    monkeypatch.setattr(upload_module._Part, "__init__", late)
    if tries > 1:
        store.upload(box, "x", path)
        assert container.download_blob("x").readall() == path.read_bytes()
    else:
        with pytest.raises(BlobError, match="is written to while it is uploaded"):
            store.upload(box, "x", path)
        assert not container.get_blob_client("x").exists()
