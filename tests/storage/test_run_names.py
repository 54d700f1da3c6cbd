"""Names of every kind through whole workflows: as inputs, outputs, temporary files, and members of directories."""

import unicodedata

import pytest

WORKFLOW = """
SAMPLES, = glob_wildcards(storage("{prefix}/data/{{sample}}.txt"))

rule all:
    input: expand("out/{{sample}}.count", sample=SAMPLES), "summary dir", "done"

rule copy:
    input: "data/{{sample}}.txt"
    output: temp("copies of #1/{{sample}}+?")
    shell: "cp {{input:q}} {{output:q}}"

rule count:
    input: "copies of #1/{{sample}}+?"
    output: "out/{{sample}}.count"
    shell: "wc -c < {{input:q}} > {{output:q}}"

rule gather:
    input: expand("out/{{sample}}.count", sample=SAMPLES)
    output: directory("summary dir"), temp("scratch")
    shell:
        '''
        mkdir -p {{output[0]:q}}/deep/none {{output[0]:q}}/empty
        cat {{input:q}} > {{output[0]:q}}/deep/'a+b #%?.txt'
        ln -s deep/'a+b #%?.txt' {{output[0]:q}}/link
        ln -s deep {{output[0]:q}}/folder
        touch {{output[1]:q}}
        '''

rule use:
    input: "summary dir", "scratch"
    output: touch("done")
    shell:
        '''
        cd {{input[0]:q}}
        test -d deep/none && test -d empty && test -s deep/'a+b #%?.txt'
        cmp link folder/'a+b #%?.txt'
        '''
"""

NFC = unicodedata.normalize("NFC", "ünï")
# Several parts of almost 255 bytes, which is what a local file's name can have.
# Snakemake takes a repeated pattern in a wildcard for an endless recursion, so that there is none here.
LONG = "/".join("".join(f"{n:x}-" for n in range(start, start + 60)) for start in (1000, 2000, 3000))
SAMPLES = [
    *[
        "plain",
        "with space",
        " in front",
        "a#b",
        "50%",
        "50%25",
        "x+y",
        "what?a=b&c",
        "it's",
        '"quoted"',
        "a.b.c",
    ],
    *[NFC, unicodedata.normalize("NFD", NFC), "日本/語", "deep/er/file", LONG],
]


def test_a_workflow_with_odd_names_and_directories(workflow, container, data):
    data([f"{s}.txt" for s in SAMPLES])
    workflow.write(WORKFLOW.format(prefix=workflow.prefix))
    done = workflow.run()
    assert done.returncode == 0, done.stderr
    names = [b.name.removeprefix("runs/one/") for b in container.list_blobs(name_starts_with="runs/one/")]
    assert [n for n in names if n.startswith("out/")] == sorted(f"out/{s}.count" for s in SAMPLES)
    assert [n for n in names if n.startswith("summary")] == [
        "summary dir",
        "summary dir/deep/a+b #%?.txt",
        "summary dir/deep/none",
        "summary dir/empty",
        "summary dir/folder/a+b #%?.txt",
        "summary dir/folder/none",
        "summary dir/link",
    ]
    assert "done" in names and "scratch" not in names
    assert not [n for n in names if n.startswith("copies")]
    for sample in SAMPLES:
        counted = container.download_blob(f"runs/one/out/{sample}.count").readall()
        assert int(counted) == len(f"{sample}.txt".encode())
    # Nothing is left here, and nothing is to be done again.
    assert list((workflow.folder / ".snakemake/storage").rglob("*.count")) == []
    again = workflow.run("-n")
    assert "Nothing to be done" in again.stderr + again.stdout


def test_a_name_of_1024_characters_and_an_output_that_is_a_link(workflow, container):
    start = len("runs/one/")
    segments = "/".join(["y" * 250] * 4)
    name = segments + "/" + "z" * (1024 - start - len(segments) - 1)
    container.upload_blob(f"runs/one/{name}", b"content")
    workflow.write(
        f'rule:\n    input: "{name}"\n    output: "{name[:-1]}o", "link"\n'
        '    shell: "cp {input} {output[0]}; ln -sr {output[0]} {output[1]}"\n'
    )
    done = workflow.run()
    assert done.returncode == 0, done.stderr
    for made in (f"{name[:-1]}o", "link"):
        assert container.download_blob(f"runs/one/{made}").readall() == b"content"


def test_an_output_with_a_name_of_3700_bytes(workflow, container):
    """Snakemake's note of it would have a longer path than there can be."""
    name = "/".join("𝒳" * 56 + f"{n:02}" for n in range(16))
    workflow.write(f'rule:\n    output: "{name}"\n    shell: "echo 1 > {{output}}"\n')
    done = workflow.run()
    assert done.returncode == 0, done.stderr
    assert container.download_blob(f"runs/one/{name}").readall() == b"1\n"
    again = workflow.run("-n")
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.parametrize(
    ("snakefile", "options", "named"),
    [
        ('rule:\n    input: "LONG"\n    output: "x"\n    shell: "cp {input} {output}"\n', [], "LONG"),
        ('rule:\n    output: "LONG"\n    shell: "touch {output}"\n', ["-n"], "LONG"),
        ('rule:\n    input: "dir"\n    output: "x"\n    shell: "ls {input} > {output}"\n', [], "dir/LONG"),
    ],
)
def test_a_local_path_that_cannot_be_is_one_sentence(workflow, container, snakefile, options, named):
    long = "/".join([c * 120 for c in "abcdef"])
    for name in (long, f"dir/{long}"):
        container.upload_blob(f"runs/one/{name}", b"1")
    workflow.write(snakefile.replace("LONG", long))
    done = workflow.run(
        *options, "--local-storage-prefix", "/".join([str(workflow.folder), *["p" * 80] * 41])
    )
    shown = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in shown
    assert f"{workflow.prefix}/{named.replace('LONG', long)}: the path of its local copy" in shown
    assert "shorten --local-storage-prefix" in shown


@pytest.mark.parametrize(("name", "reason"), [("folder./x", "ends with a dot"), ("ü" * 128, "256 bytes")])
def test_a_name_that_cannot_be_is_one_sentence(workflow, name, reason):
    workflow.write(f'rule:\n    output: "{name}"\n    shell: "touch {{output}}"\n')
    done = workflow.run("-n")
    shown = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in shown
    assert reason in shown
