"""A job that failed and has retries left is run again, whatever else ends before it is selected."""

import os
import subprocess
import sys

import pytest

SNAKEFILE = """
rule all:
    input: "flaky.txt", "after.txt", "busy.txt", "seen.txt"

rule ready:
    output: "ready.txt"
    shell: "touch {{output}}"

rule seen:
    input: "ready.txt"
    output: "seen.txt"
    shell: "touch {{output}}"

# Fails when `busy` may begin, which goes first; so its second attempt has to wait.
rule flaky:
    output: "flaky.txt"
    retries: 1
    resources: turn=1
    {group}
    shell: "test -e tried && touch {{output}} || {{{{ until test -e seen.txt; do sleep 0.1; done; touch tried; exit 1; }}}}"

# Keeps the second attempt from beginning until the checkpoint has ended, and what comes after it runs.
rule busy:
    input: "ready.txt"
    output: "busy.txt"
    resources: turn=1
    priority: 1
    shell: "touch begun; until test -e after.txt; do sleep 0.1; done; touch {{output}}"

checkpoint look:
    output: "look.txt"
    shell: "until test -e begun; do sleep 0.1; done; touch {{output}}"

def looked(wildcards):
    return checkpoints.look.get().output[0]

rule after:
    input: looked
    output: "after.txt"
    shell: "touch {{output}}"
"""


@pytest.mark.parametrize("group", ["", 'group: "flaky"'], ids=["job", "group"])
@pytest.mark.parametrize("keep_going", [[], ["--keep-going"]], ids=["stop", "keep-going"])
def test_a_restarted_job_that_waits_outlives_a_checkpoint(tmp_path, keep_going, group):
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(group=group))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "4", "--resources", "turn=1", *keep_going],
        cwd=tmp_path,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Trying to restart job" in done.stderr
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "flaky.txt").exists(), done.stderr
