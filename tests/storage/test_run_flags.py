"""What Snakemake's marks on files mean for blobs, by the real command line."""

import hashlib
import shutil

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobLeaseClient

from snakemake.azure.blob.files import CHUNK

from .test_store import wait_for_next_second

MARKS = """
rule all:
    input: "out/kept", "out/sum", "out/stamp", "out/last"

rule first:
    input: "data/a.txt"
    output:
        temp("mid/a"), temp(directory("mid/dir")), protected("out/kept"), touch("out/stamp"),
        ensure("out/sum", non_empty=True, sha256="SHA256")
    shell:
        "mkdir {output[1]}; cp {input} {output[1]}/x; for o in {output[0]} {output[2]} {output[4]}; do cp {input} $o; done"

rule last:
    input: "mid/a", "mid/dir", ancient("data/old.txt")
    output: "out/last"
    shell: "cat {input[0]} {input[1]}/x {input[2]} > {output}"
"""


def names(container) -> list[str]:
    return [b.name.removeprefix("runs/one/") for b in container.list_blobs(name_starts_with="runs/one/")]


def modified(container, name: str) -> float:
    return container.get_blob_client(f"runs/one/{name}").get_blob_properties().last_modified.timestamp()


def replace_later(container, name: str, text: bytes, than: str) -> None:
    """Uploads the blob anew, in a later second than the other one."""
    wait_for_next_second(modified(container, than))
    container.upload_blob(f"runs/one/{name}", text, overwrite=True)
    assert modified(container, name) > modified(container, than)


def test_temp_protected_ancient_ensure_touch(workflow, container, data):
    data(["a.txt", "old.txt"])
    workflow.write(MARKS.replace("SHA256", hashlib.sha256(b"a.txt").hexdigest()))
    done = workflow.run()
    assert done.returncode == 0, done.stderr
    made = ["out/kept", "out/last", "out/stamp", "out/sum"]
    assert names(container) == ["data/a.txt", "data/old.txt", *made]
    assert container.download_blob("runs/one/out/last").readall() == b"a.txta.txtold.txt"
    # What is ancient may be newer, and what was temporary is not missed.
    replace_later(container, "data/old.txt", b"newer", than="out/last")
    again = workflow.run("-n")
    assert "Nothing to be done" in again.stdout + again.stderr, again.stdout
    # What a rule makes can be removed through Snakemake, unless it is protected.
    gone = workflow.run("--delete-all-output")
    assert gone.returncode == 0, gone.stderr
    assert names(container) == ["data/a.txt", "data/old.txt", "out/kept"]
    assert "Skipping write-protected file" in gone.stderr


def test_nothing_changes_what_is_protected(workflow, container):
    """Neither Snakemake nor another program, until the lease is broken; its age stays what it was."""
    rule = 'rule:\n    output: OUTPUT\n    shell: "mkdir -p {output[1]} && date +%N | tee {output[0]} > {output[1]}/x"\n'
    marked = rule.replace("OUTPUT", 'protected("file"), protected(directory("dir"))')
    workflow.write(marked)
    done = workflow.run()
    assert done.returncode == 0, done.stderr
    assert names(container) == ["dir", "dir/x", "file"]
    made = container.download_blob("runs/one/file").readall()
    assert "Nothing to be done" in workflow.run("-n").stdout
    # A look at what would be done is as in a local directory.
    for options in (["-n"], []):
        refused = workflow.run("--forceall", *options)
        assert refused.returncode == 1
        assert "Write-protected output files" in refused.stderr + refused.stdout
        assert "Traceback" not in refused.stderr
    # The mark is in storage, whatever the rule says now.
    workflow.write(rule.replace("OUTPUT", '"file", directory("dir")'))
    refused = workflow.run("--forceall")
    assert refused.returncode == 1
    assert "there is a lease on the blob, as protected() takes one" in refused.stderr
    for name in ("file", "dir", "dir/x"):
        with pytest.raises(HttpResponseError, match="LeaseIdMissing"):
            container.delete_blob(f"runs/one/{name}")
    assert container.download_blob("runs/one/file").readall() == made
    for name in names(container):
        BlobLeaseClient(container.get_blob_client(f"runs/one/{name}")).break_lease()
    workflow.write(marked)
    again = workflow.run("--forceall")
    assert again.returncode == 0, again.stderr
    assert container.download_blob("runs/one/file").readall() != made


UPDATE = """
rule:
    input: "data/a.txt"
    output: update("log"), update(directory("parts"))
    shell: "cat {input} >> {output[0]}; mkdir -p {output[1]}; cp {input} {output[1]}/$(ls {output[1]} | wc -l); EXIT"
"""


def test_what_is_updated_comes_from_storage_first(workflow, container, data):
    """And stays there as it was when the job fails."""
    data(["a.txt"])
    for end, code in (("true", 0), ("true", 0), ("false", 1)):
        workflow.write(UPDATE.replace("EXIT", end))
        done = workflow.run("--forceall")
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        shutil.rmtree(workflow.folder / ".snakemake/storage", ignore_errors=True)
    assert names(container) == ["data/a.txt", "log", "parts", "parts/0", "parts/1"]
    assert container.download_blob("runs/one/log").readall() == b"a.txta.txt"


def test_an_output_that_is_not_as_ensured_is_no_blob(workflow, container):
    marks = {"empty": "non_empty=True", "other": "sha256='00'", "another": "md5='00'"}
    rules = [
        f'rule {name}:\n    output: ensure("{name}", {mark})\n    shell: "touch {{output}}"\n'
        for name, mark in marks.items()
    ]
    workflow.write("rule all:\n    input: " + ", ".join(f'"{n}"' for n in marks) + "\n" + "".join(rules))
    done = workflow.run("--keep-going")
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("Detected unexpected empty output files") == 1
    assert done.stderr.count("checksums that differ from the expected ones") == 2
    assert names(container) == []


def test_rerun_triggers(workflow, container, data):
    """A newer input with the same content is no reason for a new run, one with other content is one."""
    data(["a.txt"])
    rule = 'rule:\n    input: "data/a.txt"\n    output: directory("out")\n    params: PARAM\n'
    rule += '    shell: "mkdir {output}; cp {input} {output}/x"\n'
    workflow.write(rule.replace("PARAM", "1"))
    done = workflow.run()
    assert done.returncode == 0, done.stderr

    def reasons(*options: str) -> str:
        looked = workflow.run("-n", *options)
        return looked.stdout + looked.stderr

    replace_later(container, "data/a.txt", b"a.txt", than="out")
    assert "Nothing to be done" in reasons()
    replace_later(container, "data/a.txt", b"b.txt", than="out")
    assert "Updated input files" in reasons()
    touched = workflow.run("--touch")
    assert touched.returncode == 0, touched.stderr
    assert container.download_blob("runs/one/out/x").readall() == b"a.txt"
    assert "Nothing to be done" in reasons("--rerun-triggers", "mtime")
    workflow.write(rule.replace("PARAM", "2"))
    assert "Params have changed" in reasons()


@pytest.mark.parametrize("asked", [False, True])
def test_large_files_are_compared_where_they_have_a_checksum(workflow, container, asked):
    """Made again with the same content, it is a reason for what is made of it, unless its MD5 says that it is the same."""
    options = ["--storage-azblob-content-md5"] if asked else []
    workflow.write(
        'rule last:\n    input: "large"\n    output: "last"\n    shell: "wc -c < {input} > {output}"\n'
        f'rule first:\n    output: "large"\n    shell: "head -c {CHUNK + 1} /dev/zero > {{output}}"\n'
    )
    done = workflow.run(*options)
    assert done.returncode == 0, done.stderr
    wait_for_next_second(modified(container, "last"))
    done = workflow.run(*options, "--force", "large")
    assert done.returncode == 0, done.stderr
    assert modified(container, "large") > modified(container, "last")
    looked = workflow.run("-n")
    assert ("Nothing to be done" in looked.stdout + looked.stderr) == asked


def test_an_output_of_the_wrong_kind_is_no_blob(workflow, container):
    """As with local files: a directory has to be marked as one, and what is marked has to be one."""
    made = 'rule all:\n    input: "plain", "marked"\n'
    for output, command in (
        ('"plain"', "mkdir -p {output}; echo > {output}/x"),
        ('directory("marked")', "echo > {output}"),
    ):
        made += f'rule:\n    output: {output}\n    shell: "{command}"\n'
    workflow.write(made)
    done = workflow.run("--keep-going")
    assert done.returncode == 1
    assert done.stderr.count("Outputs of incorrect type") == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert names(container) == []
    # With the rules as they should be, what the failed jobs left is not in the way.
    right = made.replace('output: "plain"', 'output: directory("plain")')
    workflow.write(right.replace('output: directory("marked")', 'output: "marked"'))
    done = workflow.run()
    assert done.returncode == 0, done.stderr
    assert names(container) == ["marked", "plain", "plain/x"]
