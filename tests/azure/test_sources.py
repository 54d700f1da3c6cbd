"""The source archive: deterministic, complete, never from outside the working directory."""

import io
import os
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake.azure.node.order import NodeOrder
from snakemake.azure.node.sources import SourcesError, unpack
from snakemake.azure.sources import pack


@pytest.fixture
def workflow(tmp_path):
    for name in ("Snakefile", "config/config.yaml", "scripts/a b#1.py", ".git/HEAD", ".snakemake/log/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}")
    (tmp_path / "scripts/a b#1.py").chmod(0o755)
    (tmp_path / "link").symlink_to("Snakefile")
    return tmp_path


FILES = [
    "scripts/a b#1.py",
    "Snakefile",
    "config/config.yaml",
    "./Snakefile",
    ".git/HEAD",
    ".snakemake/log/x",
    "link",
]


def names(archive):
    with tarfile.open(fileobj=io.BytesIO(archive.data)) as tar:
        return tar.getnames()


def test_pack_and_unpack(workflow, tmp_path_factory):
    archive = pack(FILES, workflow)
    target = tmp_path_factory.mktemp("node")
    unpack(archive.data, archive.sha256, target)
    assert (target / "scripts/a b#1.py").read_text() == "content of scripts/a b#1.py"
    assert os.access(target / "scripts/a b#1.py", os.X_OK)
    assert (target / "link").read_text() == "content of Snakefile"
    assert names(archive) == ["Snakefile", "config/config.yaml", "link", "scripts/a b#1.py"]


def test_same_content_same_digest(workflow):
    first = pack(FILES, workflow)
    os.utime(workflow / "Snakefile", (1, 1))
    assert pack(reversed(FILES), workflow).sha256 == first.sha256
    (workflow / "Snakefile").write_text("other")
    assert pack(FILES, workflow).sha256 != first.sha256


def test_snakemakes_own_files_are_no_sources_wherever_they_are(workflow):
    """With the workflow's own `workdir`, the log of the run lies above it."""
    archive = pack(["Snakefile", "../.snakemake/log/run.log", ".snakemake/log/run.log"], workflow)
    assert archive == pack(["Snakefile"], workflow)


@pytest.mark.parametrize("outside", ["../Snakefile", "/etc/hostname", "config/../../x"])
def test_outside_is_refused(workflow, outside):
    with pytest.raises(SourcesError, match="outside the working directory.*--directory"):
        pack(["Snakefile", outside], workflow)


def test_what_is_not_there_is_named_and_left_out(workflow):
    """Git lists files that were deleted and submodules; a script's path may hold wildcards."""
    archive = pack(["Snakefile", "gone.py", "scripts/{wildcards.x}.py", "config"], workflow)
    assert names(archive) == ["Snakefile"]
    assert archive.missing == ("gone.py", "scripts/{wildcards.x}.py")


def test_names_as_git_prints_them(tmp_path):
    odd = ["ünd 日本.py", 'say "so".py', "tab\there.py", "back\\slash.py", "plain.py"]
    for name in odd:
        (tmp_path / name).write_text(name)
    for command in ("init -q .", "add ."):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    listed = subprocess.run(["git", "ls-files", "."], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    archive = pack(listed.stdout.decode().splitlines(), tmp_path)
    assert (set(names(archive)), archive.missing) == (set(odd), ())


def test_links_are_followed_within_the_working_directory(workflow, tmp_path_factory):
    """But not to a folder outside, which may hold anything."""
    outside = tmp_path_factory.mktemp("outside")
    (workflow / "alias").symlink_to("scripts")
    (workflow / "data").symlink_to(outside)
    (workflow / "broken").symlink_to("nowhere")
    archive = pack(["link", "alias", "data", "broken", "scripts/a b#1.py"], workflow)
    assert names(archive) == ["alias/a b#1.py", "link", "scripts/a b#1.py"]
    assert archive.missing == ("broken", "data")


def test_links_out_of_the_working_directory_are_refused_by_name(workflow, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "outside.key").write_text("secret")
    (workflow / "cfg.key").symlink_to(outside / "outside.key")
    (workflow / "folder").symlink_to(outside)
    (workflow / "twice").symlink_to("cfg.key")
    for name in ("cfg.key", "folder/outside.key", "twice"):
        with pytest.raises(
            SourcesError, match=rf"file {name} is a link to .*outside\.key, outside.*--directory"
        ):
            pack(["Snakefile", name], workflow)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_is_refused(workflow):
    (workflow / "Snakefile").chmod(0)
    with pytest.raises(SourcesError, match="Cannot read"):
        pack(["Snakefile"], workflow)


def test_damaged_archive_is_refused(workflow, tmp_path_factory):
    archive = pack(FILES, workflow)
    with pytest.raises(SourcesError, match="damaged"):
        unpack(archive.data[:-1], archive.sha256, tmp_path_factory.mktemp("node"))


orders = st.builds(
    NodeOrder,
    st.lists(st.text()).map(tuple),
    st.text(),
    st.text(alphabet="0123456789abcdef", min_size=64, max_size=64),
    st.text(alphabet="0123456789abcdef", min_size=64, max_size=64),
)


@given(orders)
def test_orders_travel_as_one_word(order):
    word = order.encode()
    assert word.replace("-", "").replace("_", "").isalnum() and word.isascii()
    assert NodeOrder.decode(word) == order


@pytest.mark.parametrize("word", ["", "abc", "eJwDAAAAAAE", "%%%", "ünicode"])
def test_other_words_are_no_orders(word):
    with pytest.raises(ValueError, match="not an order"):
        NodeOrder.decode(word)


def test_sources_that_are_data_are_refused_before_they_are_read(workflow):
    with (workflow / "reads.fastq").open("wb") as f:
        f.truncate(2_000_000_000)
    with pytest.raises(SourcesError, match=r"2\.0 GB.*reads\.fastq.*input files"):
        pack([*FILES, "reads.fastq"], workflow)
