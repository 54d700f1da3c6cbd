"""Blobs that are no plain files, that change while they are fetched, and disks that refuse them."""

import errno
import os
from pathlib import Path

import pytest
from azure.storage.blob import BlobClient, BlobType, ContentSettings

from snakemake.azure.blob import download
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.files import CHUNK, MIB

from .conftest import content


@pytest.fixture
def box(container):
    return container.container_name


@pytest.mark.parametrize("size", [0, 10, MIB, MIB + 1, CHUNK + MIB])
def test_an_append_blob_with_the_md5_of_what_it_was(store, container, box, tmp_path, size):
    """The service changes that with no append."""
    client, data = container.get_blob_client("log"), os.urandom(size)
    client.create_append_blob(content_settings=ContentSettings(content_md5=bytearray(16)))
    for start in range(0, size, 4 * MIB):
        client.append_block(data[start : start + 4 * MIB])
    store.fetch(box, "log", tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == data


@pytest.mark.parametrize("size", [10, CHUNK + 1])
def test_an_append_blob_in_the_place_of_an_output(store, container, box, tmp_path, size):
    """It is replaced, or refused with a way out; no other than these."""
    container.upload_blob("x", b"log", blob_type=BlobType.AppendBlob)
    (tmp_path / "in").write_bytes(os.urandom(size))
    try:
        store.upload(box, "x", tmp_path / "in")
    except BlobError as error:
        assert "append or page blob of that name" in str(error)
        assert container.download_blob("x").readall() == b"log"
    else:
        assert container.download_blob("x").readall() == (tmp_path / "in").read_bytes()


def test_a_page_blob_with_holes(store, container, box, tmp_path):
    client = container.get_blob_client("disk")
    client.create_page_blob(3 * CHUNK)
    page = os.urandom(512)
    client.upload_page(page, offset=2 * CHUNK, length=512)
    store.fetch(box, "disk", tmp_path / "disk")
    data = (tmp_path / "disk").read_bytes()
    assert data == bytes(2 * CHUNK) + page + bytes(CHUNK - 512)


@pytest.mark.parametrize("when", ["before its blocks are asked for", "after that"])
def test_a_blob_that_is_replaced_by_one_of_the_same_size(store, container, box, tmp_path, monkeypatch, when):
    """Each with ids that tell what is in it."""
    for name in ("x", "other"):
        (tmp_path / name).write_bytes(os.urandom(2 * CHUNK))
        store.upload(box, name, tmp_path / name)
    ask = BlobClient.get_block_list

    def replaced(client, *args):
        found = None if when.startswith("before") else ask(client, *args)
        monkeypatch.setattr(BlobClient, "get_block_list", ask)
        store.upload(box, "x", tmp_path / "other")
        return found or ask(client, *args)

    monkeypatch.setattr(BlobClient, "get_block_list", replaced)
    (tmp_path / "to").mkdir()
    (tmp_path / "to/x").write_text("before")
    with pytest.raises(BlobError, match="changed by someone else during the transfer; start again"):
        store.fetch(box, "x", tmp_path / "to/x")
    assert content(tmp_path / "to") == {"x": "before"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("step", ["folder", "content", "times", "name"])
def test_a_disk_that_is_full_at_any_step(store, container, box, tmp_path, monkeypatch, step, code):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    container.upload_blob("x", b"1")
    with monkeypatch.context() as patch:
        if step == "folder":
            patch.setattr(Path, "mkdir", refuse)
        elif step == "content":
            patch.setattr(download, "_write_all", refuse)
        elif step == "times":
            patch.setattr(os, "utime", refuse)
        else:
            patch.setattr(Path, "replace", refuse)
        said = "your quota there is used up" if code == errno.EDQUOT else "bytes are free"
        with pytest.raises(
            BlobError, match=rf"/x: the disk of {tmp_path}/to has no room for it \(.*{said}\)"
        ):
            store.fetch(box, "x", tmp_path / "to/x")
    assert content(tmp_path) in ({}, {"to/": ""})
