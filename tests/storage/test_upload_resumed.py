"""A large file whose upload was cut off goes on with the blocks that are there."""

import os

import pytest

from snakemake.azure.blob import pace, upload
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.files import CHUNK, MIB
from snakemake.azure.blob.parallel import Room
from snakemake.azure.blob.store import BlobStore
from snakemake.azure.blob.upload import Upload


class Counting:
    """A client that says how many bytes each block has, and that breaks before one of them is sent."""

    def __init__(self, client, breaks_at=None):
        self._client, self._breaks_at = client, breaks_at
        self.sent = []

    def __getattr__(self, name):
        return getattr(self._client, name)

    def stage_block(self, name, data, length, **options):
        if len(self.sent) == self._breaks_at:
            raise ConnectionError("the line is cut")
        self.sent.append(length)
        return self._client.stage_block(name, data, length=length, **options)


@pytest.fixture
def blob(container):
    return container.get_blob_client("x")


def send(client, path, **options):
    Upload(client, "az://box/x", path, 1, **options).run()
    return client.sent


def cut(blob, path, after):
    with pytest.raises(ConnectionError):
        send(Counting(blob, after), path)


def data(path, size):
    path.write_bytes(os.urandom(size))
    return path


@pytest.mark.parametrize("content_md5", [False, True])
def test_only_what_is_not_there_is_sent(blob, tmp_path, content_md5):
    path = data(tmp_path / "file", 3 * CHUNK + 5)
    cut(blob, path, 2)
    assert send(Counting(blob), path, content_md5=content_md5) == [CHUNK, 5]
    assert blob.download_blob().readall() == path.read_bytes()
    assert send(Counting(blob), path) == [CHUNK, CHUNK, CHUNK, 5], "the blocks of the blob are another matter"


def test_a_file_that_was_changed_meanwhile(blob, tmp_path):
    path = data(tmp_path / "file", 3 * CHUNK)
    cut(blob, path, 2)
    changed = bytearray(path.read_bytes())
    changed[CHUNK + 7] ^= 1
    path.write_bytes(changed)
    assert send(Counting(blob), path) == [CHUNK, CHUNK]
    assert blob.download_blob().readall() == changed


@pytest.mark.parametrize("faster", [False, True])
def test_pieces_of_a_slow_line(blob, tmp_path, monkeypatch, faster):
    monkeypatch.setattr(upload, "pace", pace.Pace(Room(1)))
    upload.pace.size = MIB
    path = data(tmp_path / "file", CHUNK + 3 * MIB)
    cut(blob, path, 5)
    upload.pace.size = 2 * MIB if faster else MIB
    sent = send(Counting(blob), path)
    assert sum(sent) == 6 * MIB and max(sent) < CHUNK
    assert blob.download_blob().readall() == path.read_bytes()


def test_without_the_permission_to_look_all_is_sent(azurite, container, blob, tmp_path):
    path = data(tmp_path / "file", 2 * CHUNK)
    cut(blob, path, 1)
    account = BlobAccount.resolve(account_url=azurite.sas_url(permission="cw"), environ={})
    BlobStore(account).upload(container.container_name, "x", path)
    assert blob.download_blob().readall() == path.read_bytes()
