"""Whole runs by the real command line, several tasks on one node of the emulator, with the node cache and without."""

import os
from collections import Counter

import pytest
from executor.conftest import site  # noqa: F401

from .caching import contents

WORKFLOW = """
rule all:
    input: "sum"

rule read:
    input: "data/large.bin"
    output: "out/{n}.txt"
    shell: "md5sum < {input} > {output}; echo {wildcards.n} >> {output}"

rule change:
    input: "data/large.bin", "out/0.txt"
    output: "changed"
    shell: "for f in {input}; do echo more 2> /dev/null >> $f || true; done; wc -c < {input[0]} > {output}"

rule gather:
    input: expand("out/{n}.txt", n=range(4)), "data/large.bin", "changed"
    output: "sum"
    shell: "head -qn 1 {input[0]} {input[1]} {input[2]} {input[3]} > {output}; md5sum < {input[4]} >> {output}"
"""
SIZE = 9 * 1024 * 1024  # two requests


@pytest.fixture
def large(site) -> bytes:  # noqa: F811
    site.write({"Snakefile": WORKFLOW})
    data = os.urandom(SIZE)
    site.put("data/large.bin", data)
    return data


def fetched(site, mark: str) -> dict[str, int]:  # noqa: F811
    """Requests that were answered with the content of the workflow's files."""
    paths = [path.partition("/run/")[2] for path in contents(site.azurite, mark)]
    return Counter(path for path in paths if path.startswith(("data/", "out/")))


ONE_NODE = ["--az-batch-nodes", "1", "--az-batch-slots-per-node", "2"]


def test_each_file_comes_to_a_node_once_and_outputs_are_there_already(site, large):  # noqa: F811
    mark = site.azurite.mark()
    done = site.run(*ONE_NODE, "--storage-azblob-node-cache-free-mb", "0")
    assert done.code == 0, done.last_error()
    assert fetched(site, mark) == {"data/large.bin": 2}
    # One task changed its inputs in place, or tried to: no other has seen it.
    assert len(set(site.read("sum").splitlines())) == 1
    changed = int(site.read("changed"))
    assert changed == SIZE + len("more\n") or (os.geteuid() != 0 and changed == SIZE)
    assert site.container.download_blob("run/data/large.bin").readall() == large
    site.assert_clean()


def test_switched_off_each_task_fetches_its_own(site, large):  # noqa: F811
    mark = site.azurite.mark()
    done = site.run(*ONE_NODE, "--storage-azblob-no-node-cache")
    assert done.code == 0, done.last_error()
    outputs = {f"out/{n}.txt": 1 for n in range(4)}
    assert fetched(site, mark) == {"data/large.bin": 6 * 2, **outputs, "out/0.txt": 2}
