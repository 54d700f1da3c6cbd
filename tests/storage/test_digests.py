"""Each block says what is in it, and what arrives is held against that."""

import os

import pytest
import xxhash
from azure.storage.blob import BlobBlock
from hypothesis import given
from hypothesis import strategies as st

from snakemake.azure.blob.digests import FEWEST_ID_BYTES, ID_BYTES, BlocksCheck, Md5Check, block_id, digest_in
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.files import CHUNK, MIB

from .test_upload_conflicts import leave_block

EMPTY = xxhash.xxh3_128(b"").hexdigest()


def named(number: int, data: bytes, length: int = ID_BYTES) -> str:
    return block_id(xxhash.xxh3_128(data).hexdigest(), number, length)


class TestIds:
    @given(st.binary(max_size=9), st.integers(0, 49_999), st.integers(FEWEST_ID_BYTES, 64))
    def test_they_have_the_length_that_is_asked_for_and_tell_the_digest_if_there_is_room(
        self, data, number, length
    ):
        name = named(number, data, length)
        assert len(name.encode()) == length
        assert digest_in(name) == (xxhash.xxh3_128(data).hexdigest() if length >= ID_BYTES else None)

    def test_no_two_of_a_file_are_the_same(self):
        assert named(0, b"x") != named(1, b"x")
        assert len({block_id(EMPTY, n, FEWEST_ID_BYTES) for n in range(1000)}) == 1000

    @pytest.mark.parametrize(
        "name", ["", "0" * 45, f"xxh128.{EMPTY}", f"xxh128.{EMPTY.upper()}.00000", f"xxh128.{EMPTY}.00000x"]
    )
    def test_those_of_other_programs_tell_nothing(self, name):
        assert digest_in(name) is None


class TestChecks:
    @given(st.data())
    def test_a_changed_byte_shows_in_blocks_that_tell_what_is_in_them(self, data):
        contents = data.draw(st.lists(st.binary(max_size=7), min_size=1, max_size=5))
        ours = data.draw(st.lists(st.booleans(), min_size=len(contents), max_size=len(contents)))
        whole = b"".join(contents)
        blocks = [
            (len(content), named(n, content) if mine else "theirs")
            for n, (content, mine) in enumerate(zip(contents, ours, strict=True))
        ]
        cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))))

        def fault(content: bytes) -> str | None:
            check = BlocksCheck(blocks)
            for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
                check.update(content[start:end])
            return check.fault()

        assert fault(whole) is None
        if whole:
            place = data.draw(st.integers(0, len(whole) - 1))
            changed = bytearray(whole)
            changed[place] ^= 1
            owner = [mine for content, mine in zip(contents, ours, strict=True) for _ in content][place]
            assert (fault(bytes(changed)) is not None) == owner

    def test_what_is_said(self):
        check = BlocksCheck([(1, "theirs"), (0, "empty"), (2, named(1, b"bc"))])
        check.update(b"abd")
        found, said = (xxhash.xxh3_128(x).hexdigest() for x in (b"bd", b"bc"))
        assert (
            check.fault() == f"the XXH128 that the id of its block before byte 3 tells ({found}, not {said})"
        )
        assert "(900150983cd24fb0d6963f7d28e17f72, not 0)" in _after(Md5Check("0"), b"abc").fault()


def _after(check, data):
    check.update(data)
    return check


@pytest.fixture
def box(container):
    return container.container_name


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "in"
    file.write_bytes(os.urandom(2 * CHUNK + 1000))
    return file


class TestInStorage:
    def test_any_program_can_read_what_is_in_the_blocks(self, store, container, box, path):
        store.upload(box, "x", path)
        blocks, left = container.get_blob_client("x").get_block_list("all")
        data = path.read_bytes()
        parts = [data[:CHUNK], data[CHUNK : 2 * CHUNK], data[2 * CHUNK :]]
        assert [digest_in(b.id) for b in blocks] == [xxhash.xxh3_128(p).hexdigest() for p in parts]
        assert not left

    def test_the_ids_stay_with_a_copy_and_with_a_touch(self, store, container, box, path):
        store.upload(box, "x", path)
        store.touch(box, "x")
        copy = container.get_blob_client("copy")
        copy.start_copy_from_url(container.get_blob_client("x").url)
        ids = [[b.id for b in container.get_blob_client(n).get_block_list()[0]] for n in ("x", "copy")]
        assert ids[0] == ids[1] and all(digest_in(name) for name in ids[0])

    def test_a_blob_that_another_program_changed_in_part(self, store, container, box, path, tmp_path):
        """As BlobFuse changes one: the blocks that it keeps still tell what is in them."""
        store.upload(box, "x", path)
        client = container.get_blob_client("x")
        kept = client.get_block_list()[0]
        theirs = "0" * ID_BYTES
        client.stage_block(theirs, b"theirs")
        client.commit_block_list([kept[0], BlobBlock(theirs), kept[2]])
        store.fetch(box, "x", tmp_path / "out")
        data = path.read_bytes()
        assert (tmp_path / "out").read_bytes() == data[:CHUNK] + b"theirs" + data[2 * CHUNK :]

    def test_other_content_under_the_id_of_ours_is_refused(self, store, container, box, path, tmp_path):
        store.upload(box, "x", path)
        client = container.get_blob_client("x")
        kept = client.get_block_list()[0]
        client.stage_block(kept[1].id, b"other")
        client.commit_block_list([BlobBlock(b.id) for b in kept])
        with pytest.raises(
            BlobError, match=rf"/x: .* before byte {CHUNK + 5:,} tells .* upload the blob again"
        ):
            store.fetch(box, "x", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_ids_too_short_for_a_digest_are_as_good_as_those_of_others(
        self, azurite, store, container, box, path, tmp_path
    ):
        leave_block(azurite, box, "x", b"ten bytes.")
        store.upload(box, "x", path)
        assert {len(b.id) for b in container.get_blob_client("x").get_block_list()[0]} == {10}
        store.fetch(box, "x", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == path.read_bytes()

    @pytest.mark.parametrize("size", [CHUNK, CHUNK + MIB])
    def test_the_blocks_are_asked_for_only_where_there_can_be_some(
        self, account, container, box, tmp_path, size, monkeypatch
    ):
        from azure.storage.blob import BlobClient

        from snakemake.azure.blob.store import BlobStore

        container.upload_blob("x", os.urandom(size), max_concurrency=4)
        asked = []
        ask = BlobClient.get_block_list
        monkeypatch.setattr(BlobClient, "get_block_list", lambda *a, **k: asked.append(1) or ask(*a, **k))
        BlobStore(account).fetch(box, "x", tmp_path / "out")
        assert (tmp_path / "out").stat().st_size == size
        assert len(asked) == (size > CHUNK)
