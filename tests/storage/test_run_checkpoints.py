"""Input functions that look into what a checkpoint has made, when it is in storage and no longer, or never was, here."""

from collections import Counter

from support.emulator import wait_until

from .workflows import Workflow

# Each sample is looked at in another way; of these, only the third would fail where there is no directory.
DIRECTORIES = """
import glob
from pathlib import Path

SAMPLES = ["globbed", "walked", "listed", "found"]

rule all:
    input: expand("sum/{s}", s=SAMPLES)

checkpoint split:
    output: directory("parts/{s}"), unused="unused/{s}.txt"
    shell: "mkdir {output[0]}; for i in 1 2 3; do echo $i > {output[0]}/$i.txt; done; touch {output.unused}"

def parts(wildcards):
    folder = checkpoints.split.get(**wildcards).output[0]
    if wildcards.s == "globbed":
        found = glob_wildcards(os.path.join(folder, "{i}.txt")).i
    elif wildcards.s == "walked":
        found = [name[:-4] for _, _, names in os.walk(folder) for name in names if name.endswith(".txt")]
    elif wildcards.s == "listed":
        found = [name[:-4] for name in os.listdir(folder) if name.endswith(".txt")]
    else:
        found = [path.stem for path in Path(folder).glob("*.txt")]
    return expand("copy/{s}/{i}.txt", s=wildcards.s, i=found)

rule copy:
    input: "parts/{s}/{i}.txt"
    output: "copy/{s}/{i}.txt"
    shell: "cp {input} {output}"

rule sum:
    input: parts
    output: "sum/{s}"
    shell: "cat /dev/null {input} | sort > {output}"
"""
SAMPLES = ["globbed", "walked", "listed", "found"]


def fetched(requests, below: str) -> dict[str, int]:
    """How often each file below a directory was downloaded; all files here have an ending."""
    paths = (r.path.partition("?")[0] for r in requests if r.method == "GET" and not r.is_list)
    return dict(
        Counter(p.partition("/runs/one/")[2] for p in paths if f"/runs/one/{below}" in p and "." in p)
    )


def local_copies(workflow: Workflow) -> set[str]:
    root = workflow.folder / ".snakemake/storage/azblob" / workflow.container / "runs/one"
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


def succeeds(workflow: Workflow, *options: str) -> str:
    done = workflow.run(*options)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_directories(azurite, workflow, container):
    workflow.write(DIRECTORIES)
    each_once = {f"parts/{s}/{i}.txt": 1 for s in SAMPLES for i in (1, 2, 3)}
    succeeds(workflow, *[f"parts/{s}" for s in SAMPLES])
    assert local_copies(workflow) == set()
    mark = azurite.mark()
    planned = succeeds(workflow, "-n")
    assert planned.count("rule copy:") == 12
    assert fetched(azurite.requests(mark), "parts/") == each_once
    assert fetched(azurite.requests(mark), "unused/") == {}
    assert local_copies(workflow) == set()
    succeeds(workflow)
    for sample in SAMPLES:
        assert container.download_blob(f"runs/one/sum/{sample}").readall() == b"1\n2\n3\n"
    assert local_copies(workflow) == set()
    # Local copies that are to be kept are kept, and serve for the next run.
    assert "Nothing to be done" in succeeds(workflow, "--keep-storage-local-copies")
    assert local_copies(workflow) == each_once.keys()
    mark = azurite.mark()
    assert "Nothing to be done" in succeeds(workflow, "-n")
    assert fetched(azurite.requests(mark), "") == {}
    assert local_copies(workflow) == each_once.keys()
    # What has changed in storage since then is fetched again.
    for sample in SAMPLES:
        container.delete_blob(f"runs/one/parts/{sample}/3.txt")
        container.upload_blob(f"runs/one/parts/{sample}/4.txt", b"4\n")
    succeeds(workflow, "--rerun-triggers", "mtime")
    for sample in SAMPLES:
        assert container.download_blob(f"runs/one/sum/{sample}").readall() == b"1\n2\n4\n"


LATE = """
rule all:
    input: "sum"

checkpoint split:
    output: directory("parts")
    shell: "mkdir {output}; touch {output}/1.txt {output}/2.txt"

rule copy:
    input: "parts/{i}.txt"
    output: "copy/{i}.txt"
    shell: "cp {input} {output}"

checkpoint late:
    input: "copy/1.txt" if config.get("split") else []
    output: "late"
    shell: "touch {output}"

def parts(wildcards):
    if config.get("split"):
        checkpoints.late.get()
    found = glob_wildcards(checkpoints.split.get().output[0] + "/{i}.txt").i
    return expand("copy/{i}.txt", i=found)

rule sum:
    input: parts
    output: "sum"
    shell: "ls {input} | wc -l > {output}"
"""


def test_the_local_copy_of_a_directory_is_whole(azurite, workflow, container):
    """What the same run has made is not fetched, and a file that a job needed does not stand for all of them."""
    workflow.write(LATE)
    mark = azurite.mark()
    succeeds(workflow)
    assert container.download_blob("runs/one/sum").readall().strip() == b"2"
    assert fetched(azurite.requests(mark), "parts/") == {}
    for name in ("sum", "copy/1.txt", "copy/2.txt"):
        container.delete_blob(f"runs/one/{name}")
    succeeds(workflow, "--config", "split=1")
    assert container.download_blob("runs/one/sum").readall().strip() == b"2"
    assert local_copies(workflow) == set()


def test_files(azurite, workflow, container):
    """Opened in whichever way; what is not opened is not fetched."""
    workflow.write(
        """
import gzip
from pathlib import Path

def opened(file):
    with file.open() as f:
        return f.read()

READ = {
    "open": lambda f: open(f).read(),
    "path": lambda f: Path(f).read_text(),
    "absolute": lambda f: Path(f).absolute().read_text(),
    "method": opened,
    "zip": lambda f: gzip.open(f).read().decode(),
}

rule all:
    input: expand("sum/{s}", s=READ)

checkpoint plan:
    output: "plan/{s}.txt", large="large/{s}.txt"
    shell: "echo 1 2 3 | (if [ {wildcards.s} = zip ]; then gzip; else cat; fi) > {output[0]}; echo > {output.large}"

def planned(wildcards):
    text = READ[wildcards.s](checkpoints.plan.get(**wildcards).output[0])
    return expand("item/{i}", i=text.split())

rule item:
    output: "item/{i}"
    shell: "echo {wildcards.i} > {output}"

rule sum:
    input: planned
    output: "sum/{s}"
    shell: "cat {input} > {output}"
"""
    )
    samples = ["open", "path", "absolute", "method", "zip"]
    succeeds(workflow, *[f"plan/{s}.txt" for s in samples])
    mark = azurite.mark()
    succeeds(workflow)
    for sample in samples:
        assert container.download_blob(f"runs/one/sum/{sample}").readall() == b"1\n2\n3\n"
    assert fetched(azurite.requests(mark), "plan/") == {f"plan/{s}.txt": 1 for s in samples}
    assert fetched(azurite.requests(mark), "large/") == {}
    assert local_copies(workflow) == set()


def test_a_list_from_storage_takes_no_download(azurite, workflow, container):
    snakefile = f"""
checkpoint split:
    output: directory("parts")
    shell: "mkdir {{output}}; touch {{output}}/1.txt {{output}}/2.txt"

def parts(wildcards):
    checkpoints.split.get()
    return expand("copy/{{i}}", i=glob_wildcards(storage("{workflow.prefix}/parts/{{i}}.txt")).i)

rule copy:
    output: "copy/{{i}}"
    shell: "touch {{output}}"

rule sum:
    default_target: True
    input: parts
    output: "sum"
    shell: "ls {{input}} | wc -l > {{output}}"
"""
    workflow.write(snakefile)
    succeeds(workflow, "parts")
    mark = azurite.mark()
    succeeds(workflow)
    assert container.download_blob("runs/one/sum").readall().strip() == b"2"
    assert fetched(azurite.requests(mark), "parts/") == {}
    container.delete_blob("runs/one/sum")
    workflow.write(snakefile.replace("storage(", "storage.azblob("))
    succeeds(workflow)
    assert container.download_blob("runs/one/sum").readall().strip() == b"2"
    # A query alone is nothing that could be found on the local disk.
    workflow.write(snakefile.replace("storage(", "("))
    done = workflow.run("-n")
    assert done.returncode == 1
    assert (
        f"Use glob_wildcards(storage('{workflow.prefix}/parts/{{i}}.txt')) to look in storage."
        in done.stdout + done.stderr
    )


PARAMS = """
rule all:
    input: "sum"

checkpoint split:
    output: directory("parts")
    shell: "mkdir {output}; touch {output}/1.txt {output}/2.txt"

rule sum:
    input: INPUT
    output: "sum"
    params: n=lambda w: len(glob_wildcards(checkpoints.split.get().output[0] + "/{i}.txt").i)
    resources: load=lambda w, input: len(os.listdir(checkpoints.split.get().output[0]))
    shell: "echo {params.n} > {output}"
"""


def test_functions_of_params(workflow, container):
    workflow.write(PARAMS.replace("INPUT", '"parts"'))
    succeeds(workflow, "parts")
    succeeds(workflow)
    assert container.download_blob("runs/one/sum").readall() == b"2\n"
    workflow.write(PARAMS.replace("INPUT", "lambda w: checkpoints.split.get().output"))
    assert "Nothing to be done" in succeeds(workflow)
    assert local_copies(workflow) == set()
    container.delete_blob("runs/one/sum")
    workflow.write(PARAMS.replace("INPUT", "lambda w: checkpoints.split.get() and []"))
    done = workflow.run()
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "Please add it to the rule inputs" in done.stderr


def test_a_part_of_a_directory_is_not_taken_for_the_whole(workflow, container):
    """Without any checkpoint: a rule needs one file, and another one the directory that it is in."""
    for i in (1, 2, 3):
        container.upload_blob(f"runs/one/parts/{i}.txt", b"x")
    workflow.write(
        """
rule whole:
    input: "parts", "part"
    output: "whole"
    shell: "ls {input[0]} | wc -l > {output}"

rule part:
    input: "parts/1.txt"
    output: "part"
    shell: "cp {input} {output}"
"""
    )
    succeeds(workflow, "part", "--keep-storage-local-copies")
    assert local_copies(workflow) == {"part", "parts/1.txt"}
    succeeds(workflow)
    assert container.download_blob("runs/one/whole").readall().strip() == b"3"


CHOICE = """
rule all:
    input: "sum"

checkpoint choose:
    output: "chosen"
    shell: "echo 1 > {output}"

rule item:
    output: "item/{i}"
    shell: "echo {wildcards.i} > {output}"

rule sum:
    input: lambda w: expand("item/{i}", i=open(checkpoints.choose.get().output[0]).read().split())
    output: "sum"
    shell: "cat {input} > {output}"
"""


def test_a_local_copy_of_an_earlier_run_is_not_read_when_storage_has_a_newer_one(
    azurite, workflow, container
):
    """As when somebody else ran the workflow in between."""
    workflow.write(CHOICE)
    succeeds(workflow, "--keep-storage-local-copies")
    assert local_copies(workflow) >= {"chosen"}
    mark = azurite.mark()
    assert "Nothing to be done" in succeeds(workflow, "--keep-storage-local-copies")
    assert not [r for r in azurite.requests(mark) if r.method == "GET" and r.path.endswith("/chosen")]
    made = container.get_blob_client("runs/one/chosen").get_blob_properties().last_modified
    # Times in storage are whole seconds.
    wait_until(
        lambda: (
            container.upload_blob("runs/one/chosen", b"2 3\n", overwrite=True)
            .get_blob_properties()
            .last_modified
            > made
        )
    )
    succeeds(workflow, "--rerun-triggers", "mtime", "input")
    assert container.download_blob("runs/one/sum").readall() == b"2\n3\n"
