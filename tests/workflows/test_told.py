"""What cannot be, or goes wrong in a task, is said in a sentence: before a node is paid for where the DAG tells, and never
with a traceback, nor without an end."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import AccessPolicy, ContainerSasPermissions, generate_container_sas

from .ways import Done, Place

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def here(place) -> Place:
    return place("batch")


def fails(done: Done) -> str:
    assert done.code == 1, done.output[-3000:]
    assert "Traceback" not in done.output, done.output[-3000:]
    return done.output


def rule(body: str, head: str = "", output: str = "out.txt") -> dict[str, str]:
    return {"Snakefile": f'{head}\nrule it:\n    output: "{output}"\n{body}'}


GROUP = """
rule all:
    input: "b.txt"
rule a:
    output: "a.txt"
    group: "g"
    resources: mem_mb=400000
    shell: "echo a > {output}"
rule b:
    input: "a.txt"
    output: "b.txt"
    group: "g"
    shell: "cat {input} > {output}"
"""


@pytest.mark.parametrize("options", [["-n"], []])
def test_a_group_that_fits_no_node(here, options):
    here.write({"Snakefile": GROUP})
    said = fails(here.run(*options))
    assert "Group g: A job needs" in said and "created the pool" not in said


@pytest.mark.parametrize("options", [["-n"], []])
def test_a_job_that_fits_no_node(here, options):
    here.write(rule('    threads: 500\n    shell: "touch {output}"\n'))
    said = fails(here.run(*options))
    assert "Rule it: A job needs 500 threads" in said and "created the pool" not in said


@pytest.mark.parametrize("path", ["/data/x.txt", "../x.txt", "a/../../x.txt"])
def test_paths_outside_the_working_directory(here, path):
    here.write(rule('    shell: "touch {output}"\n', output=path))
    said = fails(here.run("-n"))
    assert "(rule it," in said and f"The path {path} lies outside the working directory" in said
    assert "storage(...)" in said and "s3://" not in said


def test_a_name_that_blobs_cannot_have(here):
    here.write(rule('    shell: "touch {output}"\n', output="folder./x.txt"))
    said = fails(here.run("-n"))
    assert "The path folder./x.txt cannot be stored" in said and "--default-storage-prefix" not in said


@pytest.mark.parametrize("option, value", [("--jobscript", "own.sh"), ("--immediate-submit", "--notemp")])
def test_options_of_clusters(here, option, value):
    here.write(rule('    shell: "touch {output}"\n') | {"own.sh": ""})
    said = fails(here.run(option, value))
    assert f"{option} has no meaning on Azure Batch" in said and "created the pool" not in said


TOLD = """
rule all:
    input: "a.txt", local("b.txt"), "c.txt", "d.txt"
    localrule: True
rule a:
    output: "a.txt"
    shadow: "full"
    shell: "touch {output}"
rule b:
    output: local("b.txt")
    shell: "touch {output}"
rule c:
    output: "c.txt"
    container: "docker://debian"
    shell: "touch {output}"
rule d:
    output: "d.txt"
    shell: "touch d.txt"
"""


def test_what_is_not_what_it_looks_like(here):
    here.write({"Snakefile": TOLD})
    done = here.run("-n")
    assert done.code == 0, done.output[-3000:]
    for sentence in (
        "The shadow folders of the rule a hold",
        "Jobs of the rule b run on this machine",
        "The container images of the rule c are not used",
        "The command of rule d names d.txt itself",
    ):
        assert sentence in done.output, done.output[-3000:]


def test_output_at_a_literal_path(here):
    here.write(rule('    shell: "echo x > out.txt"\n'))
    said = fails(here.run("--latency-wait", "1"))
    assert "The rule wrote out.txt itself: write {output} in its command" in said


@pytest.mark.parametrize("way", ["storage", "batch"])
def test_an_update_at_a_literal_path_leaves_what_was_there(place, way):
    here = place(way)
    here.container.upload_blob("run/out.txt", b"old\n")
    here.write({"Snakefile": 'rule it:\n    output: update("out.txt")\n    shell: "echo new >> out.txt"\n'})
    said = fails(here.run("--forcerun", "it"))
    assert "The rule wrote out.txt itself" in said and here.files("")["out.txt"] == b"old\n"


def test_a_task_that_stores_nothing_is_a_failure_of_its_job(here):
    """As with an entry point that swallows the command: here it is a command before it that ends the task."""
    here.write(rule('    shell: "touch {output}"\n'))
    said = fails(here.run("-k", "--retries", "1", "--latency-wait", "1", "--precommand", "exit 0"))
    assert (
        said.count("an ENTRYPOINT of the container image may swallow it") == 2 and "Trying to restart" in said
    )


def test_other_input_files_in_the_task(here):
    head = 'import glob\nFILES = sorted(glob.glob("data/*.txt"))\n'
    body = '    input: [f"made/{f}" for f in FILES]\n    shell: "cat {input} > {output}"\n'
    made = '\nrule make:\n    output: "made/data/{s}.txt"\n    shell: "touch {output}"\n'
    here.write(rule(body + made, head) | {"data/a.txt": "", "data/b.txt": ""})
    said = fails(here.run())
    assert "the workflow listed the folder data, which tasks do not have" in said
    assert "Rule it has other input files in its task" in said and "0 (none) instead of 2" in said


GLOBBED = """
SAMPLES, = glob_wildcards(storage(f"{workflow.storage_settings.default_storage_prefix}/reads/{{s}}.fq"))
rule all:
    input: "all.txt"
rule merge:
    input: expand("reads/{s}.fq", s=sorted(SAMPLES))
    output: "all.txt"
    shell: "cat /dev/null {input} > {output}"
"""


def test_inputs_that_the_workflow_looks_for_in_storage(here):
    """It parses to nothing without them: said, and the upload finds them all the same."""
    here.write({"Snakefile": GLOBBED, "reads/a.fq": "a\n", "reads/b.fq": "b\n", "other/c.fq": ""})
    said = here.run("-n").output
    assert "reads/{s}.fq in storage, and there are 2 such files" in said and "--az-batch-upload" in said
    assert "Uploaded 2 files" in here.run("--az-batch-upload").output
    done = here.run()
    assert done.code == 0 and here.files()["all.txt"] == b"a\nb\n"
    assert "--az-batch-upload" not in done.output


def test_a_failed_pipe_ends_its_group(here):
    text = """
rule read:
    input: "through"
    output: "out.txt"
    shell: "cat {input} > {output}"
rule write:
    output: pipe("through")
    shell: "exit 3"
"""
    here.write({"Snakefile": text})
    assert "non-zero exit status 3" in fails(here.run(timeout=120))


def test_a_thread_of_the_snakefile_does_not_keep_its_tasks(here):
    head = (
        "import os, threading, time\n"
        'if "AZ_BATCH_TASK_ID" in os.environ:\n    threading.Thread(target=time.sleep, args=[900]).start()\n'
    )
    here.write(rule('    shell: "echo x > {output}"\n', head))
    done = here.run(timeout=120)
    assert done.code == 0, done.output[-3000:]


def test_a_killed_command_names_the_memory(here):
    here.write(rule('    resources: mem_mb=1234\n    shell: "kill -9 $$"\n'))
    said = fails(here.run())
    assert "most likely because its memory was not enough" in said and "mem_mb=1234" in said


def test_a_line_without_end_is_cut(here):
    here.write(rule("    shell: \"head -c 3000000 /dev/zero | tr '\\\\0' x >&2; exit 1\"\n"))
    said = fails(here.run())
    assert (
        len(said) < 50_000
        and "characters of the task's stderr, which is in .snakemake/azure_batch_logs" in said
    )


def test_a_failed_jobs_log_is_stored_once(here):
    here.write(rule('    log: "it.log"\n    shell: "echo said > {log}; exit 1"\n'))
    fails(here.run())
    (log,) = (here.folder / ".snakemake/azure_batch_logs").rglob("stderr.txt")
    assert here.files()["it.log"] == b"said\n"
    assert log.read_text().count("Storing in storage:") <= 1


@pytest.mark.parametrize("options", [["-n"], []])
def test_large_files_among_the_sources_are_named(here, options):
    here.write(rule('    shell: "touch {output}"\n', 'open("large.bin").close()\n'))
    with (here.folder / "large.bin").open("wb") as file:
        file.truncate(60_000_000)
    done = here.run(*options)
    assert (
        done.code == 0 and "The file large.bin is among the workflow's sources and has 60 MB" in done.output
    )


@pytest.mark.parametrize("options", [["-n"], []])
def test_inputs_in_the_archive_tier(here, options):
    here.write(rule('    input: "in.txt"\n    shell: "cp {input} {output}"\n'))
    blob = here.container.get_blob_client("run/in.txt")
    blob.upload_blob(b"x")
    blob.set_standard_blob_tier("Archive")
    said = fails(here.run(*options))
    assert "Inputs lie in the archive tier" in said and "run/in.txt (rule it)" in said
    assert "created the pool" not in said


def test_a_file_of_a_directory_in_the_archive_tier(here):
    here.write(rule('    input: "folder"\n    shell: "cat {input}/deep/* > {output}"\n'))
    here.container.upload_blob("run/folder/a.txt", b"x")
    blob = here.container.get_blob_client("run/folder/deep/b.txt")
    blob.upload_blob(b"x")
    blob.set_standard_blob_tier("Archive")
    said = fails(here.run("-n"))
    assert "Inputs lie in the archive tier" in said and "run/folder/deep/b.txt (rule it)" in said


@pytest.mark.parametrize("options", [["-n"], []])
def test_a_link_to_elsewhere_among_the_sources(here, options, tmp_path):
    (tmp_path / "secret.yaml").write_text("own: 1\n")
    here.write(rule('    shell: "touch {output}"\n', 'configfile: "own.yaml"\n'))
    (here.folder / "own.yaml").symlink_to(tmp_path / "secret.yaml")
    said = fails(here.run(*options))
    assert "The workflow's file own.yaml is a link to" in said and "created the pool" not in said


def test_a_sas_that_may_only_read_though_it_does_not_say_so(here):
    """As a login with the role of a reader: what it may is known only where it is asked for."""
    policy = AccessPolicy(
        ContainerSasPermissions(read=True, list=True), datetime.now(UTC) + timedelta(hours=1)
    )
    here.container.set_container_access_policy({"reader": policy})
    sas = generate_container_sas(
        "devstoreaccount1", here.container.container_name, here.azurite.key, policy_id="reader"
    )
    here.environ |= {"AZ_BLOB_ACCOUNT_URL": f"{here.azurite.url}?{sas}", "AZ_BLOB_ACCOUNT_KEY": ""}
    here.write(rule('    shell: "touch {output}"\n'))
    said = fails(here.run("-n"))
    assert "the SAS in AZ_BLOB_ACCOUNT_URL" in said and "sp=rwdlc" in said
    assert not list(here.container.list_blobs())


def test_a_sas_that_says_itself_that_it_is_too_narrow(here):
    here.write(rule('    shell: "touch {output}"\n'))
    sas = here.azurite.sas(container=here.container.container_name, permission="rl")
    here.environ |= {"AZ_BLOB_ACCOUNT_URL": f"{here.azurite.url}?{sas}", "AZ_BLOB_ACCOUNT_KEY": ""}
    said = fails(here.run("-n"))
    assert "The SAS in AZ_BLOB_ACCOUNT_URL lacks the permission to write and to delete" in said
