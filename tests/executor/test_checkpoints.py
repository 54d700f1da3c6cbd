"""Input functions behind a checkpoint, where neither its output nor theirs is ever made on this machine."""

from pathlib import Path

import pytest

WORKFLOW = """
rule all:
    input: "sum"

checkpoint split:
    output: directory("parts")
    shell: "mkdir {output}; for i in 1 2 3; do echo $i > {output}/$i.txt; done"

checkpoint choose:
    input: "parts"
    output: "chosen"
    shell: "echo 1 3 > {output}"

def parts(wildcards):
    folder = checkpoints.split.get().output[0]
    chosen = open(checkpoints.choose.get().output[0]).read().split()
    found = glob_wildcards(os.path.join(folder, "{i}.txt")).i
    return expand("copy/{i}", i=[i for i in found if i in chosen])

rule copy:
    input: "parts/{i}.txt"
    output: "copy/{i}"
    shell: "cp {input} {output}"

rule sum:
    input: parts
    output: "sum"
    HOW
"""
HOW = {
    "shell": 'shell: "cat /dev/null {input} | sort > {output}"',
    "run": 'run:\n        open(output[0], "w").writelines(sorted(open(f).read() for f in input))',
}


@pytest.mark.parametrize("how", HOW)
def test_checkpoints(site, how):
    site.write({"Snakefile": WORKFLOW.replace("HOW", HOW[how])})
    result = site.run()
    assert result.code == 0, result.last_error()
    assert site.read("sum") == "1\n3\n"
    assert local_files(site) == []
    again = site.run()
    assert again.code == 0 and "Nothing to be done" in again.output, again.last_error()
    assert local_files(site) == []


def local_files(site) -> list[Path]:
    return [path for path in (site.workdir / ".snakemake/storage").rglob("*") if path.is_file()]
