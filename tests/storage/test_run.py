"""Whole workflows by the real command line, with the local executor and Azurite as default storage."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.azurite import Azurite

WORKFLOW = """
SAMPLES, = glob_wildcards(storage("{prefix}/data/{{sample}}.txt"))

rule all:
    input: expand("out/{{sample}}.count", sample=SAMPLES), "summary dir", "done"

rule count:
    input: "data/{{sample}}.txt"
    output: "out/{{sample}}.count"
    shell: "wc -c < {{input:q}} > {{output:q}}"

rule gather:
    input: expand("out/{{sample}}.count", sample=SAMPLES)
    output: directory("summary dir"), temp("scratch")
    shell:
        "mkdir -p {{output[0]:q}}/deep/none; cat {{input:q}} > {{output[0]:q}}/deep/'a+b #%.txt'; touch {{output[1]:q}}"

rule use:
    input: "summary dir", "scratch"
    output: touch("done")
    shell: "test -d {{input[0]:q}}/deep/none && test -s {{input[0]:q}}/deep/'a+b #%.txt'"
"""


@dataclass
class Workflow:
    azurite: Azurite
    folder: Path
    container: str

    @property
    def prefix(self) -> str:
        return f"az://{self.container}/runs/one"

    def write(self, text: str) -> None:
        (self.folder / "Snakefile").write_text(text)

    def run(
        self, *options: str, prefix: str | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs Snakemake in the folder; without AZ_* or SNAKEMAKE_* among `environ`, the account is Azurite's."""
        storage = ["--default-storage-provider", "azblob", "--default-storage-prefix", prefix or self.prefix]
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", *storage, *options],
            cwd=self.folder,
            env={**os.environ, **(environ or {"AZ_BLOB_ACCOUNT_URL": self.azurite.sas_url()})},
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture
def workflow(azurite, container, tmp_path) -> Workflow:
    return Workflow(azurite, tmp_path, container.container_name)


@pytest.fixture
def data(container):
    """Puts blobs below data/, all at once."""

    def put(names: list[str]) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda name: container.upload_blob(f"runs/one/data/{name}", name.encode()), names))

    return put


def test_a_workflow_with_odd_names_and_directories(workflow, container, data):
    samples = ["plain", "with space", "ünï", "a#b", "50%", "x+y"]
    data([f"{s}.txt" for s in samples])
    workflow.write(WORKFLOW.format(prefix=workflow.prefix))
    done = workflow.run()
    assert done.returncode == 0, done.stderr
    names = [b.name.removeprefix("runs/one/") for b in container.list_blobs(name_starts_with="runs/one/")]
    assert [n for n in names if n.startswith("out/")] == sorted(f"out/{s}.count" for s in samples)
    assert [n for n in names if n.startswith("summary")] == [
        *["summary dir", "summary dir/deep/a+b #%.txt", "summary dir/deep/none"]
    ]
    assert "done" in names and "scratch" not in names
    # Nothing is left here, and nothing is to be done again.
    assert list((workflow.folder / ".snakemake/storage").rglob("*.count")) == []
    again = workflow.run("-n")
    assert "Nothing to be done" in again.stderr + again.stdout


def test_a_newer_input_is_noticed_and_touch_makes_it_good(workflow, container, data):
    data(["a.txt"])
    shell = "mkdir {output}; cp {input} {output}"
    workflow.write(f'rule:\n    input: "data/a.txt"\n    output: directory("copy")\n    shell: "{shell}"\n')
    assert workflow.run().returncode == 0
    container.upload_blob("runs/one/data/a.txt", b"changed", overwrite=True)
    newer = container.get_blob_client("runs/one/data/a.txt").get_blob_properties().last_modified
    marker = container.get_blob_client("runs/one/copy")
    while marker.get_blob_properties().last_modified >= newer:  # Last-Modified has whole seconds
        changed = container.upload_blob("runs/one/data/a.txt", b"changed", overwrite=True)
        newer = changed.get_blob_properties().last_modified
    assert "Updated input files" in workflow.run("-n").stdout
    touched = workflow.run("--touch")
    assert touched.returncode == 0, touched.stderr
    assert marker.get_blob_properties().last_modified >= newer
    again = workflow.run("-n", "--rerun-triggers", "mtime")
    assert "Nothing to be done" in again.stderr + again.stdout


def test_a_dry_run_over_1000_inputs_is_a_handful_of_requests(azurite, workflow, data):
    data([f"{n % 20}/{n}.txt" for n in range(1000)])
    workflow.write(
        'SAMPLES = [f"{n % 20}/{n}" for n in range(1000)]\n'
        'rule all:\n    input: expand("out/{s}.gz", s=SAMPLES)\n'
        'rule one:\n    input: "data/{s}.txt"\n    output: "out/{s}.gz"\n    shell: "gzip < {input} > {output}"\n'
    )
    mark = azurite.mark()
    done = workflow.run("-n", "-q")
    requests = azurite.requests(mark)
    assert done.returncode == 0, done.stderr
    assert 0 < len(requests) <= 10, [f"{r.method} {r.path.partition('&se=')[0]}" for r in requests]


@pytest.mark.parametrize("kind", ["sas of the container", "setting"])
def test_each_credential_on_the_command_line(azurite, workflow, data, kind):
    environ = {
        "sas of the container": {"AZ_BLOB_ACCOUNT_URL": azurite.sas_url(container=workflow.container)},
        "setting": {"SNAKEMAKE_STORAGE_AZBLOB_CONNECTION_STRING": azurite.connection_string},
    }[kind]
    data(["a.txt"])
    workflow.write('rule:\n    input: "data/a.txt"\n    output: "b.txt"\n    shell: "cp {input} {output}"\n')
    done = workflow.run(**environ)
    assert done.returncode == 0, done.stderr


class TestFaults:
    @pytest.fixture(autouse=True)
    def one_rule(self, workflow):
        workflow.write(
            'rule:\n    input: "data/a.txt"\n    output: "b.txt"\n    shell: "cp {input} {output}"\n'
        )

    def message(self, done: subprocess.CompletedProcess[str]) -> str:
        """What the user sees, after checking that it is no traceback and holds no secret."""
        shown = done.stdout + done.stderr
        assert done.returncode == 1, shown
        assert "Traceback" not in shown and "asyncio" not in shown, shown
        assert not re.search(r"sig=[^*\s]", shown), shown
        return shown

    def test_no_account(self, workflow):
        shown = self.message(workflow.run(AZ_BLOB_ACCOUNT_URL=""))
        assert shown.count("No storage account is given; set AZ_BLOB_ACCOUNT_URL") == 1

    def test_a_malformed_url(self, workflow):
        assert "AZ_BLOB_ACCOUNT_URL is not a URL" in self.message(
            workflow.run(AZ_BLOB_ACCOUNT_URL="myaccount")
        )

    def test_a_wrong_key(self, azurite, workflow):
        shown = self.message(workflow.run(AZ_BLOB_ACCOUNT_URL=azurite.url, AZ_BLOB_ACCOUNT_KEY="d3Jvbmc="))
        assert "the account key was refused" in shown and "d3Jvbmc=" not in shown

    def test_an_expired_sas_even_when_verbose(self, azurite, workflow):
        from datetime import timedelta

        done = workflow.run("--verbose", AZ_BLOB_ACCOUNT_URL=azurite.sas_url(expiry=timedelta(days=-1)))
        shown = done.stdout + done.stderr
        assert done.returncode == 1 and "expired at" in shown
        assert not re.search(r"sig=[^*\s]", shown)

    @pytest.mark.parametrize(
        ("prefix", "reason"),
        [
            ("az://Bad_Name/p", "lower-case"),
            ("s3://abc/p", "must start with az://"),
            ("az://abc//p", "empty path"),
        ],
    )
    def test_a_prefix_that_azure_refuses(self, workflow, prefix, reason):
        shown = self.message(workflow.run(prefix=prefix))
        assert reason in shown and "--default-storage-prefix" in shown

    def test_a_missing_input(self, workflow):
        shown = self.message(workflow.run())
        assert f"{workflow.prefix}/data/a.txt" in shown

    def test_no_permission_to_write(self, azurite, workflow, data):
        data(["a.txt"])
        shown = self.message(workflow.run(AZ_BLOB_ACCOUNT_URL=azurite.sas_url(permission="rl")))
        assert f"{workflow.prefix}/b.txt: the SAS in AZ_BLOB_ACCOUNT_URL does not permit this" in shown

    def test_nobody_listens(self, workflow):
        shown = self.message(workflow.run(AZ_BLOB_CONNECTION_STRING=closed_port_connection()))
        assert "nothing accepts connections at http://127.0.0.1:" in shown


def closed_port_connection() -> str:
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    return f"AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:{port}/a"
