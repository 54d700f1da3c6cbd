"""A job behind a file that is ancient() runs for the reasons that it has itself, whatever becomes of that file's job."""

import os
import subprocess
import sys

import pytest

SNAKEFILE = """
rule all:
    input: "end.txt", "after.txt"

# Its output is there long before it ends: until the checkpoint has ended, and what comes after that.
rule begin:
    output: "begin.txt"
    shell: "touch {output}; until test -e after.txt; do sleep 0.1; done"

rule end:
    input: ancient("begin.txt")
    output: "end.txt"
    shell: "touch {output}"

checkpoint look:
    output: "look.txt"
    shell: "until test -e begin.txt; do sleep 0.1; done; touch {output}"

def looked(wildcards):
    return checkpoints.look.get().output[0]

rule after:
    input: looked
    output: "after.txt"
    shell: "touch {output}"
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)

    def do(*args):
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", *args],
            cwd=tmp_path,
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    return do


def test_a_checkpoint_ends_while_the_file_is_there_and_its_job_runs(run, tmp_path):
    said = run()
    assert (tmp_path / "end.txt").exists(), said


def test_the_files_job_is_forced(run, tmp_path):
    run()
    (tmp_path / "end.txt").unlink()
    said = run("--forcerun", "begin")
    assert (tmp_path / "end.txt").exists(), said
    assert "rule end" not in run("--forcerun", "begin"), "nothing but the ancient file is newer"
