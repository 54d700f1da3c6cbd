"""Large files pass through bounded memory, both ways. Each way runs in a process of its own, to be measured."""

import json
import os
import subprocess
import sys

import pytest

MIB = 1024 * 1024

PROGRAM = """
import json, re, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.parallel import TRANSFERS
from snakemake.azure.blob.store import BlobStore

def peak():  # ru_maxrss would be that of the process which started this one, if that was larger
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

verb, box, path, count = sys.argv[1:]
store = BlobStore(BlobAccount.resolve())
small = Path(path + ".small")
small.write_text("warm up: the SDK is loaded")
store.upload(box, "small", small)
before = peak()

def move(n):
    if verb == "up":
        store.upload(box, f"large/{n}", Path(path))
    else:
        store.fetch(box, f"large/{n}", Path(f"{path}.{n}"))

with ThreadPoolExecutor(TRANSFERS) as pool:
    list(pool.map(move, range(int(count))))
print(json.dumps({"before": before, "all": peak()}))
"""


def sparse(path, size):
    with path.open("wb") as file:
        file.truncate(size)
        for place in (0, size // 2, size - 1):
            file.seek(place)
            file.write(bytes([place % 251 + 1]))
    return path


@pytest.mark.parametrize(("count", "size", "grows"), [(1, 300 * MIB, 64 * MIB), (16, 33 * MIB, 110 * MIB)])
def test_up_and_down(azurite, container, tmp_path, count, size, grows):
    """6 chunks of 8 MiB for one file, 8 for all together, and what the allocator keeps for the threads."""

    def run(verb, path):
        arguments = [verb, container.container_name, str(path), str(count)]
        environ = {**os.environ, "AZ_BLOB_ACCOUNT_URL": azurite.sas_url()}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)
        assert found["all"] - found["before"] < grows
        assert found["all"] < 200e6

    path = sparse(tmp_path / "in", size)
    run("up", path)
    run("down", tmp_path / "out")
    for n in range(count):
        same = subprocess.run(["cmp", path, f"{tmp_path / 'out'}.{n}"], capture_output=True, check=False)
        assert same.returncode == 0, same.stdout
    container.delete_container()
