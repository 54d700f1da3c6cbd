"""An environment is made once on a node, is fetched by other nodes, and is never half of one."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from snakemake.azure.node import environments
from snakemake.azure.node.environments import BlobEnvironments, Environments

KEY = "key"
BLOB = "run/.snakemake-azbatch/conda/key.tar.gz"


class Node:
    """A node's folder of environments, with one that is made of a file, a link to it, and one to elsewhere."""

    def __init__(self, folder, storage, build=None):
        self.path = folder / "env"
        self.done = folder / "env.env_setup_done"
        self.said, self.built = [], 0
        self._build = build or (lambda: None)
        self.environments = Environments(storage, self.said.append)

    def ensure(self):
        self.environments.ensure(self.path, self.done, KEY, self.build)
        assert self.done.exists() and (self.path / "bin/tool").read_text() == "tool"
        assert (self.path / "bin/tool").stat().st_mode & 0o111 and (
            self.path / "bin/link"
        ).resolve().name == "tool"
        assert str((self.path / "sh").readlink()) == "/bin/sh"

    def build(self):
        self.built += 1
        self._build()
        assert not self.path.exists()
        (self.path / "bin").mkdir(parents=True)
        (self.path / "bin/tool").write_text("tool")
        (self.path / "bin/tool").chmod(0o755)
        (self.path / "bin/link").symlink_to("tool")
        (self.path / "sh").symlink_to("/bin/sh")
        self.done.touch()


@pytest.fixture
def container(azurite):
    return azurite.new_container()


@pytest.fixture
def node(tmp_path, azurite, container, monkeypatch):
    monkeypatch.setenv("AZ_BLOB_ACCOUNT_URL", azurite.url)
    monkeypatch.setenv("AZ_BLOB_ACCOUNT_KEY", azurite.key)
    made = []

    def new(build=None):
        folder = tmp_path / f"node{len(made)}"
        sources = f"{container.container_name}/run/.snakemake-azbatch/a-run/sources.tar.gz"
        made.append(Node(folder, BlobEnvironments(sources), build))
        return made[-1]

    return new


def test_tasks_of_a_node_make_it_once_and_other_nodes_fetch_it(node):
    first = node()
    with ThreadPoolExecutor(4) as tasks:
        for task in [tasks.submit(first.ensure) for _ in range(4)]:
            task.result()
    other = node()
    other.ensure()
    assert (first.built, other.built, first.said, other.said) == (1, 0, [], [])
    left = {path.name for path in first.path.parent.iterdir()}
    assert left == {"env", "env.env_setup_done", "env.lock", "build.lock"}


def test_two_nodes_that_make_it_at_once(node):
    both = Barrier(2)
    nodes = [node(both.wait), node(both.wait)]
    with ThreadPoolExecutor(2) as tasks:
        list(tasks.map(lambda each: each.ensure(), nodes))
    third = node()
    third.ensure()
    assert [each.built for each in (*nodes, third)] == [1, 1, 0]


def test_half_of_one_is_never_used(node):
    killed = node()
    (killed.path / "bin").mkdir(parents=True)
    (killed.path.parent / "env.part-of-a-killed-task").mkdir()
    killed.ensure()
    assert killed.built == 1 and not (killed.path.parent / "env.part-of-a-killed-task").exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "no archive"])
def test_a_damaged_one_is_made_anew_and_stored_again(node, container, damage):
    node().ensure()
    good = container.download_blob(BLOB).readall()
    bad = {
        "cut": good[: len(good) // 2],
        "changed": good[:40] + bytes([good[40] ^ 1]) + good[41:],
        "empty": b"",
        "no archive": b"nothing" + hashlib.sha256(b"nothing").digest(),
    }
    container.upload_blob(BLOB, bad[damage], overwrite=True)
    second, third = node(), node()
    second.ensure()
    assert second.built == 1 and "is damaged" in second.said[0]
    third.ensure()
    assert third.built == 0


def test_storage_that_cannot_be_reached_does_not_fail_a_task(node, monkeypatch, azurite):
    monkeypatch.setenv("AZ_BLOB_ACCOUNT_KEY", "QUFBQQ==")
    alone = node()
    alone.ensure()
    assert alone.built == 1 and len(alone.said) == 2


def test_one_that_is_too_large_stays_on_its_node(node, container, monkeypatch):
    monkeypatch.setattr(environments, "LARGEST", 3)
    large = node()
    large.ensure()
    assert large.built == 1 and "too much" in large.said[0] and not list(container.list_blob_names())


def test_what_cannot_be_made_leaves_nothing(node, container):
    def fail():
        raise RuntimeError("no such package")

    failing = node(fail)
    with pytest.raises(RuntimeError):
        failing.ensure()
    assert not failing.path.exists() and not failing.done.exists() and not list(container.list_blob_names())
