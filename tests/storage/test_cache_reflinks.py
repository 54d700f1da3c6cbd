"""The node cache on file systems that share the blocks of equal files, made in an image when root may mount one."""

import shutil
import subprocess

import pytest
from support.mounting import cannot_mount

from snakemake.azure.blob.node_cache import NodeCache
from storage.caching import entries, source_of

MIB = 1024 * 1024
MAKERS = {"xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"], "btrfs": ["mkfs.btrfs", "-q"]}


@pytest.fixture(params=MAKERS)
def disk(request, tmp_path):
    """A file system of 320 MiB of that kind."""
    make, image, path = MAKERS[request.param], tmp_path / "image", tmp_path / "disk"
    if not shutil.which(make[0]):
        cannot_mount(f"there is no {make[0]} here (packages xfsprogs and btrfs-progs)")
    with image.open("wb") as file:
        file.truncate(320 * MIB)
    path.mkdir()
    subprocess.run([*make, str(image)], check=True, capture_output=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop", str(image), str(path)], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        cannot_mount(f"no {request.param} image can be mounted here: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_each_task_gets_its_own_file_without_a_copy(disk):
    cache = NodeCache(disk / "shared", "https://a", 0)
    data = b"content" * (4 * MIB)
    cache.get("abc", "x", disk / "0", "1", lambda _: source_of(data))
    for n in range(20):  # 560 MiB, if they were copies
        target = disk / f"task{n}"
        cache.get("abc", "x", target, "1", lambda _: source_of(b"never asked for"))
        assert cache._reflinks and target.stat().st_nlink == 1 and target.stat().st_size == len(data)
        with target.open("r+b") as file:
            file.write(b"changed")
    cache.get("abc", "x", disk / "last", "1", lambda _: source_of(b"never asked for"))
    assert (disk / "last").read_bytes() == data


def test_an_output_enters_it_without_a_copy(disk):
    cache = NodeCache(disk / "shared", "https://a", 0)
    out = disk / "out"
    out.write_bytes(b"output" * MIB)
    cache.put("abc", "y", out, out.stat(), "1", 1.0)
    assert out.stat().st_nlink == 1 and len(entries(cache)) == 1
    out.write_bytes(b"changed")
    cache.get("abc", "y", disk / "in", "1", lambda _: source_of(b"never asked for"))
    assert (disk / "in").read_bytes() == b"output" * MIB
