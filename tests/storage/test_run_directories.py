"""Directories of many files through whole runs: a request for each file and way, and a handful for all else."""

from collections import Counter

from executor.conftest import site  # noqa: F401

FILES = 300
WORKFLOW = f"""
rule all:
    input: "count"

rule make:
    output: directory("many")
    shell: "mkdir {{output}}; cd {{output}}; for n in $(seq {FILES}); do echo $n > $n; done"

rule use:
    input: "many"
    output: "count"
    shell: "cat {{input}}/* | sort -n | tail -n 1 > {{output}}"
"""
OTHERS = 25  # markers, listings, and looks at single files, for all jobs together


def counted(requests) -> tuple[dict[str, int], int]:
    """Requests about files of the directory by method, and the number of all others."""
    paths = [(r.method, r.path.partition("?")[0]) for r in requests if not r.is_list]
    of_files = Counter(method for method, path in paths if "/many/" in path)
    return dict(of_files), len(requests) - of_files.total()


def test_with_the_local_executor(azurite, workflow, container):
    workflow.write(WORKFLOW)
    mark = azurite.mark()
    # In one go the second rule would find the local copy that the first has made.
    for target in ("make", "use"):
        done = workflow.run("--until", target)
        assert done.returncode == 0, done.stderr
    of_files, others = counted(azurite.requests(mark))
    assert of_files == {"PUT": FILES, "GET": FILES}
    assert others <= OTHERS
    assert container.download_blob("runs/one/count").readall() == b"%d\n" % FILES
    mark = azurite.mark()
    looked = workflow.run("-n")
    assert "Nothing to be done" in looked.stdout + looked.stderr
    of_files, others = counted(azurite.requests(mark))
    assert not of_files and others <= 10
    mark = azurite.mark()
    done = workflow.run("--delete-all-output")
    assert done.returncode == 0, done.stderr
    of_files, others = counted(azurite.requests(mark))
    assert of_files == {"DELETE": FILES} and others <= OTHERS


def test_on_azure_batch(site):  # noqa: F811
    """On one node, the second task finds in the node cache what the first has made."""
    site.write({"Snakefile": WORKFLOW})
    mark = site.azurite.mark()
    options = ["--az-batch-nodes", "1", "--storage-azblob-node-cache-free-mb", "0"]
    done = site.run(*options)
    assert done.code == 0, done.last_error()
    assert site.read("count") == f"{FILES}\n"
    answered = [r for r in site.azurite.requests(mark) if r.status < 300]
    of_files = Counter(r.method for r in answered if not r.is_list and "/many/" in r.path.partition("?")[0])
    assert of_files == {"PUT": FILES}
