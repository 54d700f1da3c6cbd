"""Sizes of inputs in storage, as functions and scripts of a workflow ask for them."""

from executor.conftest import site  # noqa: F401

SIZES = """
rule all:
    input: "late", "script"

rule early:
    input: "data/in", dir="data/dir"
    output: "early"
    params: both=lambda wildcards, input: input.size, there=lambda wildcards: exists(storage("PREFIX/data/in"))
    resources: mem_mb=lambda wildcards, input: 2 * input.size_mb, bytes=lambda wildcards, input: input.size
    shell: "echo {params} {resources.mem_mb} {resources.bytes} > {output}"

rule late:
    input: "early", "data/in"
    output: "late"
    params: kb=lambda wildcards, input: input.size_files_kb[1], again=lambda wildcards, input: input
    run:
        import os
        with open(output[0], "w") as out:
            print(open(input[0]).read(), os.path.getsize(input[1]), input.size_files, params.kb, file=out)

rule script:
    input: "data/in"
    output: "script"
    params: lambda wildcards, input: input
    script: "script.py"
"""
SCRIPT = "with open(snakemake.output[0], 'w') as out:\n    print(snakemake.input.size, snakemake.params[0], file=out)\n"
MB = 3 * 2**20
EARLY = f"{MB} True 6 {MB}\n"


def test_with_the_local_executor(workflow, container):
    container.upload_blob("runs/one/data/in", b"x" * MB)
    container.upload_blob("runs/one/data/dir/x", b"x")
    workflow.write(SIZES.replace("PREFIX", workflow.prefix))
    (workflow.folder / "script.py").write_text(SCRIPT)
    looked = workflow.run("-n", "-p")
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert f"echo {EARLY.strip()} >" in looked.stdout
    assert "never awaited" not in looked.stderr
    done = workflow.run()
    assert done.returncode == 0, done.stderr

    def read(name: str) -> str:
        return container.download_blob(f"runs/one/{name}").readall().decode()

    assert read("early") == EARLY
    assert read("late") == f"{EARLY} {MB} [{len(EARLY)}, {MB}] {MB / 1024}\n"
    assert read("script").startswith(f"{MB} .snakemake/storage/")
    assert "Nothing to be done" in workflow.run("-n").stdout


def test_on_azure_batch(site):  # noqa: F811
    """The client has no local copies, and knows the sizes all the same; a task has them from its own."""
    site.put("data/in", b"x" * MB)
    site.put("data/dir/x", b"x")
    site.write({"Snakefile": SIZES.replace("PREFIX", site.prefix), "script.py": SCRIPT})
    done = site.run("-p")
    assert done.code == 0, done.last_error()
    assert f"echo {EARLY.strip()} >" in done.output
    assert site.read("early") == EARLY
    assert site.read("late") == f"{EARLY} {MB} [{len(EARLY)}, {MB}] {MB / 1024}\n"
    assert site.read("script").startswith(f"{MB} .snakemake/storage/")


def test_sizes_cost_no_requests_of_their_own(azurite, workflow, data):
    """Of files that are there, and of files that are not."""
    names = [f"{n % 3}/{n}" for n in range(60)]
    data(names)
    sized = "    params: lambda wildcards, input: input.size\n    resources: disk_mb=lambda wildcards, input: input.size\n"
    workflow.write(
        f"rule all:\n    input: {[f'out/{n}' for n in names]}\n"
        f'rule second:\n    input: "mid/{{n}}"\n    output: "out/{{n}}"\n{sized}    shell: "# size {{params}}"\n'
        f'rule first:\n    input: "data/{{n}}"\n    output: "mid/{{n}}"\n{sized}    shell: "# size {{params}}"\n'
    )
    mark = azurite.mark()
    done = workflow.run("-n", "-p")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("# size <TBD>") == 60
    assert sum(done.stdout.count(f"# size {n}\n") for n in (3, 4)) == 60
    assert 0 < len(azurite.requests(mark)) <= 10
