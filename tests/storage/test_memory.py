"""A large file passes through bounded memory, both ways. Each way runs in a process of its own, to be measured."""

import json
import os
import subprocess
import sys

import pytest

MIB = 1024 * 1024
SIZE = 300 * MIB

PROGRAM = """
import json, resource, sys
from pathlib import Path
from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.store import BlobStore

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

verb, box, path = sys.argv[1:]
store = BlobStore(BlobAccount.resolve())
small = Path(path + ".small")
small.write_text("warm up: the SDK is loaded")
store.upload(box, "small", small)
before = peak()
if verb == "up":
    store.upload(box, "large", Path(path))
else:
    store.fetch(box, "large", Path(path))
print(json.dumps({"before": before, "grown": peak() - before}))
"""


@pytest.fixture
def sparse(tmp_path):
    path = tmp_path / "in"
    with path.open("wb") as file:
        file.truncate(SIZE)
        for place in (0, SIZE // 2, SIZE - 1):
            file.seek(place)
            file.write(bytes([place % 251 + 1]))
    return path


def test_300_mib_up_and_down(azurite, container, sparse, tmp_path):
    def run(verb, path):
        arguments = [verb, container.container_name, str(path)]
        environ = {**os.environ, "AZ_BLOB_ACCOUNT_URL": azurite.sas_url()}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)
        assert found["before"] + found["grown"] < 200_000_000
        return found["grown"]

    # 4 blocks of 4 MiB at once on the way up, 4 chunks of 8 MiB on the way down; twice that for copies on the way.
    assert run("up", sparse) < 100 * MIB
    assert run("down", tmp_path / "out") < 100 * MIB
    same = subprocess.run(["cmp", sparse, tmp_path / "out"], capture_output=True, check=False)
    assert same.returncode == 0, same.stdout
    container.delete_container()
