"""A task's temporary files, home and caches lie below its own directory, and are gone at its end."""

import os
import socket
import sys
from pathlib import Path

import pytest

from snakemake.azure.node.scratch import BELOW, KEEP, prepare


@pytest.fixture
def workdir(tmp_path):
    path = tmp_path / ("long" * 20) / "wd"
    path.mkdir(parents=True)
    return path


def test_all_lies_below_the_tasks_directory(workdir, tmp_path):
    environ = {
        "HOME": "/nonexistent",
        "TMPDIR": "/scratch",
        "TMP": "/tmp",
        "MPLCONFIGDIR": "/tmp/mpl",
        "HF_HOME": "/models",
    }
    prepare(workdir, tmp_path / "shared", environ)
    for name in ("HOME", "TMPDIR", "TMP", "TEMP", "XDG_CACHE_HOME"):
        assert Path(environ[name]).resolve().is_relative_to(workdir / BELOW) and Path(environ[name]).is_dir()
    assert "MPLCONFIGDIR" not in environ and environ["HF_HOME"] == "/models"


def test_a_socket_has_a_name_that_fits(workdir, tmp_path, monkeypatch):
    environ = {}
    shared = Path(os.path.relpath(tmp_path / "shared", workdir))  # short, as that of a node is
    monkeypatch.chdir(workdir)
    prepare(workdir, shared, environ)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"{environ['TMPDIR']}/listener-12345678")
    assert len(os.fsencode(str(workdir / BELOW))) > 107


def test_variables_that_are_to_stay(workdir):
    environ = {"TMPDIR": "/fast", "HOME": "/nonexistent", KEEP: "TMPDIR, HF_HOME"}
    prepare(workdir, None, environ)
    assert environ["TMPDIR"] == "/fast" and environ["HOME"] == str(workdir / BELOW / "home")


def test_what_is_set_afterwards_stays(workdir):
    """As by --precommand, after which the task's command begins once more."""
    environ = {"HOME": ""}
    first = prepare(workdir, None, environ)
    environ["TMPDIR"] = "/fast"
    assert prepare(workdir, None, environ) == first and environ["TMPDIR"] == "/fast"


def test_what_the_image_has_in_its_home_is_found(workdir, tmp_path):
    home = tmp_path / "image"
    (home / ".cache" / "models").mkdir(parents=True)
    (home / ".condarc").write_text("channels: [bioconda]")
    environ = {"HOME": str(home)}
    prepare(workdir, None, environ)
    new = Path(environ["HOME"])
    assert (new / ".condarc").read_text() == "channels: [bioconda]" and (new / ".cache/models").is_dir()
    (new / ".cache" / "pip").mkdir()
    assert not (home / ".cache" / "pip").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="nodes are Linux")
def test_removed_with_what_may_not_be_written_to(workdir, tmp_path):
    scratch = prepare(workdir, tmp_path / "shared", {})
    locked = scratch.folder / "home" / "go" / "pkg"
    locked.mkdir(parents=True)
    (locked / "file").touch()
    locked.chmod(0o500)
    (scratch.folder / "tmp" / "link").symlink_to(tmp_path)
    scratch.remove()
    assert not scratch.folder.exists() and not scratch.path.is_symlink() and tmp_path.is_dir()
