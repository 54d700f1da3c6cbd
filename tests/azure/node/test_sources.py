"""The sources on a node: fetched once, and never taken from what somebody else put there."""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snakemake.azure.node.order import NodeOrder
from snakemake.azure.node.sources import SourcesError, lay_out
from snakemake.azure.sources import pack

CONTENT = ("Snakefile", "config/config.yaml", "scripts/a b#1.py")


@pytest.fixture
def workflow(tmp_path):
    for name in CONTENT:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}")
    (tmp_path / "scripts/a b#1.py").chmod(0o755)
    (tmp_path / "link").symlink_to("Snakefile")
    return tmp_path


class Node:
    """A node's shared directory, and tasks that lay out their sources from there."""

    def __init__(self, archive, tmp_path_factory):
        self.shared = tmp_path_factory.mktemp("shared")
        self.home = self.shared / f"snakemake-sources-{os.geteuid()}"
        self.copy = self.home / archive.sha256
        self.order = NodeOrder((), "container/blob", archive.sha256, archive.files)
        self.fetched, self.said = [], []
        self.data = archive.data
        self.workdirs = tmp_path_factory.mktemp("tasks")

    def fetch(self, name):
        self.fetched.append(name)
        return self.data

    def task(self):
        target = Path(tempfile.mkdtemp(dir=self.workdirs))
        lay_out(self.shared, self.order, self.fetch, target, self.said.append)
        return target


@pytest.fixture
def node(workflow, tmp_path_factory):
    return Node(pack([*CONTENT, "link"], workflow), tmp_path_factory)


def is_right(target):
    assert (target / "Snakefile").read_text() == (target / "link").read_text() == "content of Snakefile"
    assert os.access(target / "scripts/a b#1.py", os.X_OK) and not os.access(target / "Snakefile", os.X_OK)
    return sorted(str(p.relative_to(target)) for p in target.rglob("*") if p.is_file())


def test_a_node_fetches_once_however_many_tasks_ask(node):
    with ThreadPoolExecutor(8) as pool:
        targets = list(pool.map(lambda _: node.task(), range(8)))
    assert node.fetched == ["container/blob"] and node.said == []
    for target in targets:
        assert is_right(target) == ["Snakefile", "config/config.yaml", "link", "scripts/a b#1.py"]
    assert [p.name for p in node.home.iterdir() if p.is_dir()] == [node.order.sha256]


def test_a_failed_fetch_leaves_nothing_and_the_next_succeeds(node):
    right, node.data = node.data, b"broken"
    with pytest.raises(SourcesError):
        node.task()
    assert [p for p in node.home.iterdir() if p.is_dir()] == []
    node.data = right
    is_right(node.task())


def change(node):
    (node.copy / "Snakefile").write_text("shell: 'steal'")


def change_both(node):
    change(node)
    node.copy.with_suffix(".files").write_bytes(b'[["Snakefile",false,"%s"]]' % (b"0" * 64))


def remove_one(node):
    (node.copy / "scripts/a b#1.py").unlink()


def plant(node):
    shutil.rmtree(node.copy)
    node.copy.mkdir()
    change(node)


@pytest.mark.parametrize("tamper", [change, change_both, remove_one, plant])
def test_what_was_changed_on_the_node_is_not_used(node, tamper):
    """Tasks of one pool may have the same user, and so may write to each other's copies."""
    node.task()
    tamper(node)
    is_right(node.task())
    is_right(node.task())
    assert node.fetched == ["container/blob"] * 2
    assert len(node.said) == 1 and "changed" in node.said[0]


def test_a_file_that_was_added_is_not_taken_along(node):
    node.task()
    (node.copy / "sitecustomize.py").write_text("steal")
    assert "sitecustomize.py" not in is_right(node.task())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's directory")
def test_the_directory_of_another_user_is_left_alone(node):
    node.home.mkdir()
    os.chown(node.home, 65534, 65534)
    is_right(node.task())
    assert "not a private directory" in node.said[0] and list(node.home.iterdir()) == []


@pytest.mark.parametrize("kind", ["open", "link"])
def test_a_directory_that_others_can_change_is_left_alone(node, kind, tmp_path_factory):
    if kind == "open":
        node.home.mkdir()
        node.home.chmod(0o777)
    else:
        node.home.symlink_to(tmp_path_factory.mktemp("elsewhere"))
    is_right(node.task())
    assert node.said and list(node.home.iterdir()) == []


def test_the_nodes_copy_is_for_its_user_alone(node):
    node.task()
    assert node.home.stat().st_mode & 0o777 == 0o700
