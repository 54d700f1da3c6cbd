"""With faults between the provider and Azurite nothing is lost and nothing is corrupt."""

import hashlib
import os
import uuid
from itertools import count
from types import SimpleNamespace

import pytest
from snakemake_interface_storage_plugins.tests import TestStorageBase
from support.faults import at_random, once, proxy

from snakemake.azure import retry
from snakemake.azure.blob import upload
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.files import CHUNK, MIB, SMALL
from snakemake.azure.blob.store import BlobStore
from snakemake_storage_plugin_azblob import StorageProvider, StorageProviderSettings

from .conftest import content


@pytest.fixture
def faults(azurite):
    with proxy(azurite.port) as running:
        yield running


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.001)
    # The SDK tries a broken range three times, a second apart, before it tells.
    monkeypatch.setattr("azure.storage.blob._download.time", SimpleNamespace(sleep=lambda _: None))


@pytest.fixture
def box(container):
    return container.container_name


@pytest.fixture
def faulty(azurite, faults):
    """A store behind the proxy."""
    return BlobStore(BlobAccount.resolve(account_url=faults.url(azurite.sas_url())))


class TestSnakemakesSuite(TestStorageBase):
    """Each request fails with one chance in four, in one way or another; a fixed seed for each test."""

    touch = True
    files_only = False

    @pytest.fixture(autouse=True)
    def _account(self, azurite, faults, request):
        self.url = faults.url(azurite.sas_url())
        self.container = azurite.new_container().container_name
        faults.plan = at_random(
            len(request.node.name), 0.25, "refuse", "lose", "cut", "truncate", "busy", "error", "slow"
        )
        yield
        assert faults.seen

    def get_storage_provider_cls(self):
        return StorageProvider

    def get_storage_provider_settings(self):
        return StorageProviderSettings(account_url=self.url)

    def get_query(self, tmp_path):
        return f"az://{self.container}/some/path/{tmp_path.name}"

    def get_query_not_existing(self, tmp_path):
        return f"az://{self.container}/{uuid.uuid4().hex}"


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "in"
    path.write_bytes(os.urandom(3 * CHUNK + 12345))
    return path


@pytest.mark.parametrize("seed", range(3))
def test_a_large_file_there_and_back(faults, faulty, box, data, tmp_path, seed):
    faults.plan = at_random(seed, 0.3, "refuse", "lose", "cut", "truncate", "busy", "error", "flip")
    faulty.upload(box, "x", data)
    faulty.fetch(box, "x", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data.read_bytes()
    assert faults.done


def test_a_directory_there_and_back(faults, faulty, box, tree, tmp_path):
    files = {f"{n % 5}/{n}": "x" * n for n in range(60)}
    faults.plan = at_random(1, 0.2, "refuse", "lose", "cut", "busy", "slow")
    faulty.upload_directory(box, "d", tree("in", files))
    faulty.fetch(box, "d", tmp_path / "out")
    assert content(tmp_path / "out") == files
    assert len(faults.done) > 10


class TestResuming:
    def test_a_download_goes_on_where_it_broke(self, faults, faulty, box, container, tmp_path):
        """No connection ever passes more than 1 MiB of the second chunk's answer."""
        payload = os.urandom(2 * CHUNK)
        container.upload_blob("x", payload)

        def plan(passing):
            first, _, last = passing.range.removeprefix("bytes=").partition("-")
            large = last and int(first) >= SMALL and int(last) - int(first) >= MIB
            return "cut" if large else None

        faults.plan = plan
        faulty.fetch(box, "x", tmp_path / "x")
        assert (tmp_path / "x").read_bytes() == payload
        whole = [p for p in faults.seen if p.range == f"bytes=0-{SMALL - 1}"]
        assert len(whole) == 1, "what had come was fetched again"

    def test_a_lost_block_is_sent_again_alone(self, faults, faulty, box, container, data):
        faults.plan = once("cut", lambda p: p.is_block and p.number > 0)
        faulty.upload(box, "x", data)
        assert len([p for p in faults.seen if p.is_block]) == 4 + 1
        assert container.download_blob("x").readall() == data.read_bytes()

    def test_another_version_is_not_mixed_in(self, faults, faulty, box, container, tmp_path):
        container.upload_blob("x", os.urandom(2 * CHUNK))

        def plan(passing):
            if passing.range.startswith(f"bytes={SMALL}-"):
                faults.plan = lambda _: None
                container.upload_blob("x", os.urandom(2 * CHUNK), overwrite=True)
            return

        faults.plan = plan
        with pytest.raises(BlobError, match="changed by someone else during the transfer; start again"):
            faulty.fetch(box, "x", tmp_path / "x")
        assert content(tmp_path) == {}

    @pytest.mark.parametrize("buffered", [0, 16 * MIB])
    def test_blocks_too_large_for_memory_are_sent_from_the_file(
        self, faults, faulty, box, container, data, monkeypatch, buffered
    ):
        monkeypatch.setattr(upload, "BUFFERED", buffered)
        faults.plan = at_random(5, 0.4, "refuse", "lose", "cut", "busy")
        faulty.upload(box, "x", data)
        assert container.download_blob("x").readall() == data.read_bytes()


class TestIntegrity:
    @pytest.mark.parametrize("size", [5, CHUNK, CHUNK + 1])
    def test_uploads_have_the_md5_of_the_whole_file(self, account, box, tmp_path, size):
        path = tmp_path / "in"
        path.write_bytes(os.urandom(size))
        for asked in (False, True):
            store = BlobStore(account, content_md5=asked)
            store.upload(box, "x", path)
            known = asked or size <= CHUNK
            assert store.head(box, "x").md5 == (hashlib.md5(path.read_bytes()).hexdigest() if known else None)

    @pytest.mark.parametrize(("size", "md5"), [(5, False), (2 * CHUNK, True), (2 * CHUNK, False)])
    def test_a_changed_byte_is_noticed_on_the_way_down(
        self, faults, faulty, box, account, tmp_path, size, md5
    ):
        (tmp_path / "in").write_bytes(os.urandom(size))
        BlobStore(account, content_md5=md5).upload(box, "x", tmp_path / "in")
        faults.plan = once("flip", lambda p: p.is_content)
        faulty.fetch(box, "x", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
        faults.plan = lambda p: "flip" if p.is_content else None
        what = (
            "the MD5 that the blob is said to have"
            if md5 or size == 5
            else "the XXH128 that the id of its block"
        )
        with pytest.raises(BlobError, match=rf"does not have {what} .* 3 times over; upload the blob again"):
            faulty.fetch(box, "x", tmp_path / "never")
        assert not (tmp_path / "never").exists()

    @pytest.mark.parametrize("size", [5, 2 * CHUNK])
    def test_a_changed_byte_is_noticed_on_the_way_up(self, faults, faulty, box, container, tmp_path, size):
        (tmp_path / "in").write_bytes(os.urandom(size))
        faults.plan = once("flip", lambda p: p.method == "PUT" and p.size > 0)
        faulty.upload(box, "x", tmp_path / "in")
        assert container.download_blob("x").readall() == (tmp_path / "in").read_bytes()
        faults.plan = lambda p: "flip" if p.method == "PUT" else None
        with pytest.raises(BlobError, match="az://.*/y: .* MD5 .* proxy"):
            faulty.upload(box, "y", tmp_path / "in")
        assert not container.get_blob_client("y").exists()

    def test_half_an_answer_that_says_it_is_whole(self, faults, faulty, box, container, tmp_path):
        container.upload_blob("x", b"0123456789")
        faults.plan = once("truncate", lambda p: p.is_content, times=3)
        faulty.fetch(box, "x", tmp_path / "x")
        assert (tmp_path / "x").read_bytes() == b"0123456789"


class TestPatience:
    @pytest.fixture
    def hasty(self, azurite, faults):
        """Each look at the clock takes 20 ms, and nothing else takes any time."""
        patience = retry.Patience(0.3, clock=count(0.0, 0.02).__next__)
        return BlobStore(BlobAccount.resolve(account_url=faults.url(azurite.sas_url())), patience=patience)

    @pytest.mark.parametrize("fault", ["busy", "error"])
    def test_a_busy_account_is_waited_for(self, faults, faulty, box, container, tmp_path, fault):
        container.upload_blob("x", b"1")
        faults.plan = once(fault, times=8)
        faulty.fetch(box, "x", tmp_path / "x")
        assert len(faults.seen) == 9

    def test_in_the_end_it_is_an_error_with_a_way_out(self, faults, hasty, box, tmp_path):
        faults.plan = lambda _: "busy"
        with pytest.raises(BlobError, match=rf"^az://{box}/x: .* too busy \(ServerBusy.*fewer --jobs"):
            hasty.fetch(box, "x", tmp_path / "x")
        assert 5 < len(faults.seen) < 20

    def test_connections_that_always_break(self, faults, hasty, box, container, tmp_path):
        container.upload_blob("x", b"1" * 1000)
        faults.plan = lambda p: "cut" if p.is_content else None
        with pytest.raises(BlobError, match=rf"^az://{box}/x: the connection to .* breaks again and again"):
            hasty.fetch(box, "x", tmp_path / "x")
        assert content(tmp_path) == {}
