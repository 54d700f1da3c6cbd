"""Large files for blobs at which others are at work as well."""

import base64
import os
import urllib.parse
import urllib.request

import pytest
from azure.core.exceptions import HttpResponseError

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.errors import BlobError, error_code
from snakemake.azure.blob.files import CHUNK, MIB
from snakemake.azure.blob.store import BlobStore
from snakemake.azure.blob.upload import TRIES, Upload


@pytest.fixture
def box(container):
    return container.container_name


def large(path, size=CHUNK + MIB):
    path.write_bytes(os.urandom(size))
    return path


def leave_block(azurite, box: str, name: str, block: bytes) -> None:
    """As another program that was killed: the SDK's ids are always text."""
    url, _, sas = azurite.sas_url().partition("?")
    query = urllib.parse.urlencode({"comp": "block", "blockid": base64.b64encode(block).decode()})
    request = urllib.request.Request(f"{url}/{box}/{name}?{query}&{sas}", data=b"1", method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201


@pytest.mark.parametrize(
    "block", [b"another-length", b"x" * 48, bytes(range(200, 224)), bytes(range(128, 144))]
)
def test_blocks_that_another_program_has_left(azurite, store, container, box, tmp_path, block):
    leave_block(azurite, box, "x", block)
    path = large(tmp_path / "file")
    store.upload(box, "x", path)
    assert container.download_blob("x").readall() == path.read_bytes()


def test_ids_that_are_too_short_to_share(azurite, store, box, tmp_path):
    leave_block(azurite, box, "x", b"01")
    with pytest.raises(BlobError, match="another program has begun to upload this blob in blocks"):
        store.upload(box, "x", large(tmp_path / "file"))


@pytest.mark.parametrize("permission", ["cw", "w"])
def test_blocks_that_may_not_be_looked_at(azurite, box, tmp_path, permission):
    leave_block(azurite, box, "x", b"another-length")
    account = BlobAccount.resolve(account_url=azurite.sas_url(permission=permission), environ={})
    path = large(tmp_path / "file")
    with pytest.raises(BlobError, match=r"/x: another program has begun .* sp=rwdlc\.$"):
        BlobStore(account).upload(box, "x", path)
    BlobStore(account).upload(box, "y", path)


class Disturbed:
    """A client before whose commits someone else stores the blob, as often as there are `others`."""

    def __init__(self, client, others):
        self._client = client
        self._others = others

    def __getattr__(self, name):
        return getattr(self._client, name)

    def commit_block_list(self, *args, **options):
        next(self._others, lambda: None)()
        return self._client.commit_block_list(*args, **options)


@pytest.mark.parametrize("times", [1, TRIES - 1, TRIES])
def test_two_tasks_that_store_the_same_output(store, container, box, tmp_path, times):
    """A task, and the one that took its place when its node was thought to be lost: the last one is done as well."""
    ours, theirs = large(tmp_path / "ours", 2 * CHUNK), large(tmp_path / "theirs")
    others = iter([lambda: store.upload(box, "x", theirs)] * times)
    upload = Upload(Disturbed(container.get_blob_client("x"), others), f"az://{box}/x", ours, 2)
    if times < TRIES:
        upload.run()
        assert container.download_blob("x").readall() == ours.read_bytes()
    else:
        with pytest.raises(HttpResponseError) as error:
            upload.run()
        assert error_code(error.value) == "InvalidBlockList"
        assert container.download_blob("x").readall() == theirs.read_bytes()
