"""Snakemake's commands beside a run, for files in storage."""

import tarfile
import zipfile

WORKFLOW = """
rule all:
    input: "out/b.txt", "out/c.txt"

rule a:
    input: "data/in.txt"
    output: temp("mid/a.txt")
    shell: "cp {input} {output}"

rule b:
    input: "mid/a.txt"
    output: report("out/b.txt", category="results"), "out/c.txt"
    shell: "for o in {output}; do cp {input} $o; done"
"""


def test_commands_about_files_that_are_blobs_only(workflow, container, data):
    data(["in.txt"])
    workflow.write(WORKFLOW)
    made = workflow.run("--notemp")
    assert made.returncode == 0, made.stderr

    def done(*options: str) -> str:
        result = workflow.run(*options)
        assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr

    # The report and the archive hold what is in storage.
    done("--report", "report.zip")
    with zipfile.ZipFile(workflow.folder / "report.zip") as report:
        assert b"in.txt" in [report.read(n) for n in report.namelist() if n.endswith("b.txt")]
    done("--archive", "all.tar.gz")
    with tarfile.open(workflow.folder / "all.tar.gz") as archive:
        packed = next(m for m in archive if m.name.endswith("runs/one/data/in.txt"))
        assert archive.extractfile(packed).read() == b"in.txt"  # type: ignore[union-attr]
    assert f"{workflow.prefix}/out/b.txt\t" in done("--summary")
    # Records are found by the workflow's name of a file, and by the one that messages have.
    assert "missing provenance" not in done("-n")
    done("--cleanup-metadata", "out/b.txt", f"{workflow.prefix}/out/c.txt")
    assert "missing provenance" in done("-n")
    refused = workflow.run("--cleanup-metadata", "out/b.txt")
    assert refused.returncode == 1 and "metadata was not present" in refused.stderr
    for touched in ("--touch", "--unlock", "--delete-temp-output"):
        done(touched)
    left = [b.name.removeprefix("runs/one/") for b in container.list_blobs()]
    assert left == ["data/in.txt", "out/b.txt", "out/c.txt"]


AGAIN = """
rule:
    output: directory("dir")
    retries: 1
    shell: "mkdir {output}; touch {output}/$(date +%N); test -e again || {{ touch again; exit 1; }}"
"""


def test_local_copies_of_output_are_not_in_the_way(workflow, container):
    """Of an attempt that failed, and of an earlier run that kept them."""
    workflow.write(AGAIN)
    for options in (["--keep-storage-local-copies"], ["--forceall"]):
        done = workflow.run(*options)
        assert done.returncode == 0, done.stderr
        assert len([b.name for b in container.list_blobs(name_starts_with="runs/one/dir/")]) == 1
