"""Inputs go to storage and results come back by the command line, and only what is needed of them."""

import os
import re
import time

import pytest

WORKFLOW = """
rule all:
    input: "out/a.txt", "sub"

rule one:
    input: "in/a.txt", "in/folder", "there.txt"
    output: "out/a.txt", temp("mid")
    shell: "cat {input[0]} {input[1]}/b.txt {input[2]} > {output[0]}; touch {output[1]}"

rule two:
    input: "out/a.txt"
    output: directory("sub")
    shell: "mkdir {output}; cp {input} {output}/x"
"""


@pytest.fixture
def inputs(workflow, container):
    """Two files and a folder here, one file there, one that nobody asks for, and an old result here."""
    workflow.write(WORKFLOW)
    for name in ("in/a.txt", "in/folder/b.txt", "in/folder/deep/c.txt", "in/unasked.txt", "out/a.txt"):
        path = workflow.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    container.upload_blob("runs/one/there.txt", b"there\n")
    return container


def names(container):
    return {blob.name.removeprefix("runs/one/") for blob in container.list_blobs()}


def run(workflow, *options):
    done = workflow.run(*options)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_missing_input_that_lies_here_names_the_command(workflow, inputs):
    done = workflow.run("-n")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert re.search(
        "(in/a.txt, in/folder|in/folder, in/a.txt) lie on this disk and not in storage: ", said
    ), said
    assert "--az-batch-upload" in said and "Traceback" not in said


def test_a_dry_run_says_what_and_how_much(workflow, inputs):
    said = run(workflow, "--az-batch-upload", "-n")
    assert "in/a.txt (9 bytes): not in storage" in said and "Would upload 3 files, 46 bytes" in said
    assert names(inputs) == {"there.txt"}


def test_there_run_and_back(workflow, inputs):
    wanted = {"in/a.txt", "in/folder/b.txt", "in/folder/deep/c.txt", "there.txt"}
    assert "Uploaded 3 files" in run(workflow, "--az-batch-upload")
    assert names(inputs) == wanted
    assert "Nothing to upload" in run(workflow, "--az-batch-upload")
    changed = workflow.folder / "in/a.txt"
    changed.write_text("newer\n")
    os.utime(changed, (time.time() + 60, time.time() + 60))
    assert "in/a.txt (6 bytes): newer here" in run(workflow, "--az-batch-upload", "-n")
    run(workflow, "--az-batch-upload")
    os.utime(changed, (0, 0))
    inputs.upload_blob("runs/one/in/folder/deep/c.txt", b"", overwrite=True)
    inputs.delete_blob("runs/one/in/folder/b.txt")
    assert "Uploaded 1 file" in run(workflow, "--az-batch-upload")  # what was left undone, and no more

    (workflow.folder / "out/a.txt").unlink()
    run(workflow)
    said = run(workflow, "--az-batch-download", "-n")
    assert "out/a.txt" in said and "sub/x" in said and "Would download 2 files" in said
    assert not (workflow.folder / "out/a.txt").exists()
    run(workflow, "--az-batch-download", "out/a.txt")
    assert (workflow.folder / "out/a.txt").read_text().startswith("newer\n")
    assert not (workflow.folder / "sub").exists()
    run(workflow, "--az-batch-download")
    assert (workflow.folder / "sub/x").exists()
    assert "Nothing to download" in run(workflow, "--az-batch-download")


def test_before_the_run_there_is_nothing_to_download(workflow, inputs):
    run(workflow, "--az-batch-upload")
    done = workflow.run("--az-batch-download")
    assert done.returncode == 1 and "There is nothing to download" in done.stderr


def test_without_a_default_prefix(workflow):
    workflow.write('rule:\n    output: "x"\n    shell: "touch x"\n')
    done = workflow.run("--az-batch-upload", "--default-storage-provider", "none", prefix="")
    assert done.returncode == 1 and "give --default-storage-provider azblob" in done.stderr
