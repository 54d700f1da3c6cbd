"""What a workflow looks at while it is parsed: its files are sent, the rest is named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from snakemake.azure import parsing
from snakemake.azure.parsing import Looks


def test_what_is_opened_for_reading_and_what_is_listed(tmp_path):
    looks = Looks(watching=True)
    looks.event("open", ("a.txt", "r", os.O_RDONLY | os.O_CLOEXEC))
    looks.event("open", ("b.txt", "w", os.O_WRONLY | os.O_CREAT))
    looks.event("open", (3, "r", os.O_RDONLY))
    looks.event("os.scandir", ("folder",))
    looks.event("os.remove", ("c.txt",))
    assert looks.opened == {str(Path.cwd() / "a.txt")} and looks.listed == {str(Path.cwd() / "folder")}


def test_events_come_from_libraries_as_well(tmp_path):
    """In a process of its own: a hook stays until the end."""
    (tmp_path / "a.csv").write_text("x")
    code = (
        "import csv, glob, pathlib; from snakemake.azure import parsing; parsing.watch();"
        "pathlib.Path('a.csv').read_text(); glob.glob('*/*'); list(csv.reader(open('a.csv'))); looks = parsing.stop();"
        "open('b.csv', 'w').close(); open('b.csv').close();"
        "print(sorted(p.rpartition('/')[2] for p in looks.opened if p.endswith('.csv')), bool(looks.listed))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "['a.csv'] True\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("Snakefile", "data/a.txt", "sent/b.txt", ".snakemake/log", "copies/c.txt", "helper.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_files_of_the_workflow(folder):
    seen = [str(folder / n) for n in ("data/a.txt", ".snakemake/log", "copies/c.txt", "gone.txt", "data")]
    assert parsing.files_below([*seen, sys.executable, os.__file__], folder, [Path("copies")]) == [
        "data/a.txt"
    ]


def test_folders_whose_files_are_not_sent(folder):
    listed = [str(folder), str(folder / "data"), str(folder / "sent"), str(folder / ".snakemake"), "/usr"]
    assert parsing.folders_not_sent(listed, folder, ["sent/b.txt"]) == ["data"]


def test_modules_beside_a_snakefile(folder):
    assert parsing.modules_beside([str(folder / "Snakefile"), "https://example.org/Snakefile"]) == [
        str(folder / "helper.py")
    ]
