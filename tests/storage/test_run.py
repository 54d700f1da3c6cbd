"""Whole workflows by the real command line, with the local executor and Azurite as default storage."""

import re
import socket
import subprocess
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest


def test_a_dry_run_over_1000_inputs_is_a_handful_of_requests(azurite, workflow, container, data):
    data([f"{n % 20}/{n}.txt" for n in range(1000)])
    for other in ("runs/other/data/0/0.txt", "runs/one-more/x", "unrelated/x", "x"):
        container.upload_blob(other, b"")
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
    # What else lies in the container is not listed.
    prefixes = [parse_qs(urlsplit(r.path).query)["prefix"][0] for r in requests if r.is_list]
    assert prefixes and all(prefix.startswith("runs/one/") for prefix in prefixes)


def test_a_connection_string_as_a_setting(azurite, workflow, data):
    data(["a.txt"])
    workflow.write('rule:\n    input: "data/a.txt"\n    output: "b.txt"\n    shell: "cp {input} {output}"\n')
    done = workflow.run(SNAKEMAKE_STORAGE_AZBLOB_CONNECTION_STRING=azurite.connection_string)
    assert done.returncode == 0, done.stderr


RIGHTS = """
SAMPLES, = glob_wildcards(storage("PREFIX/data/{sample}.txt"))

rule all:
    input: expand("out/{sample}", sample=SAMPLES), "done"

rule one:
    input: "data/{sample}.txt"
    output: temp("mid/{sample}"), directory("out/{sample}")
    shell: "cp {input} {output[0]}; mkdir {output[1]}; cp {input} {output[1]}/x"

rule two:
    input: expand("mid/{sample}", sample=SAMPLES)
    output: touch("done")
"""


def test_read_write_delete_list_in_one_container_are_rights_enough(azurite, workflow, data):
    """And nothing is asked that goes beyond: nothing of the account, and no creation of the container."""
    data(["a.txt", "b.txt"])
    url = azurite.sas_url(container=workflow.container, permission="rwdl")
    workflow.write(RIGHTS.replace("PREFIX", workflow.prefix))
    mark = azurite.mark()
    for options in ([], ["--forceall"], ["--touch"], ["--delete-all-output"]):
        done = workflow.run(*options, AZ_BLOB_ACCOUNT_URL=url)
        assert done.returncode == 0, done.stderr
    asked = azurite.requests(mark)
    box = f"/{azurite.account}/{workflow.container}"
    assert asked and not [
        r for r in asked if r.status in (401, 403) or not r.path.startswith((f"{box}/", f"{box}?"))
    ]
    of_the_container = [r for r in asked if r.path.startswith(f"{box}?")]
    assert of_the_container and all(r.method == "GET" and r.is_list for r in of_the_container)


def test_read_is_right_enough_for_inputs_that_are_files(azurite, workflow, data):
    data(["a.txt", "b.txt"])
    one = f'storage("{workflow.prefix}/data/{{n}}.txt")'
    workflow.write(
        f'rule all:\n    input: local(expand("{{n}}", n=["a", "b"]))\n'
        f'rule copy:\n    input: {one}\n    output: local("{{n}}")\n    shell: "cp {{input}} {{output}}"\n'
    )
    url = azurite.sas_url(container=workflow.container, permission="r")
    done = workflow.run(AZ_BLOB_ACCOUNT_URL=url)
    assert done.returncode == 0, done.stderr
    assert [(workflow.folder / n).read_text() for n in "ab"] == ["a.txt", "b.txt"]


def test_a_cache_between_workflows_in_storage(azurite, workflow, container, data):
    """What one workflow has made comes from there for another one, with other paths, and is not made again."""
    data(["a.txt"])
    container.upload_blob("runs/two/data/a.txt", b"a.txt")
    workflow.write(
        'rule all:\n    input: "b.txt", "d"\n'
        'rule one:\n    input: "data/a.txt"\n    output: "b.txt"\n    cache: True\n'
        '    shell: "cat {input} > {output}; date +%N >> {output}"\n'
        'rule two:\n    input: "data/a.txt"\n    output: directory("d")\n    cache: True\n'
        '    shell: "mkdir {output}; cp {input} {output}/x; date +%N >> {output}/x"\n'
    )
    environ = {
        "AZ_BLOB_ACCOUNT_URL": azurite.sas_url(),
        "SNAKEMAKE_OUTPUT_CACHE": f"az://{workflow.container}/cache",
    }
    for run in ("one", "two"):
        done = workflow.run("--cache", prefix=f"az://{workflow.container}/runs/{run}", **environ)
        assert done.returncode == 0, done.stderr
    for name in ("b.txt", "d/x"):
        one, two = (container.download_blob(f"runs/{run}/{name}").readall() for run in ("one", "two"))
        assert one == two and one.startswith(b"a.txt") and len(one) > len(b"a.txt")


class TestFaults:
    @pytest.fixture(autouse=True)
    def one_rule(self, workflow):
        workflow.write(
            'rule:\n    input: "data/a.txt"\n    output: "b.txt"\n    shell: "cp {input} {output}"\n'
        )

    def message(self, done: subprocess.CompletedProcess[str]) -> str:
        """What the user sees, after checking that it is no traceback, nor a part of one, and holds no secret."""
        shown = done.stdout + done.stderr
        assert done.returncode == 1, shown
        assert "Traceback" not in shown and "asyncio" not in shown and '  File "' not in shown, shown
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

    def test_an_output_that_cannot_be_looked_at(self, azurite, workflow):
        """Its age is asked for in a group of coroutines."""
        workflow.write('rule:\n    output: "a", "b"\n    shell: "touch {output}"\n')
        done = workflow.run("-n", AZ_BLOB_ACCOUNT_URL=azurite.sas_url(expiry=timedelta(hours=-1)))
        shown = done.stdout + done.stderr
        assert done.returncode == 1 and "expired at" in shown
        assert "Traceback" not in shown and "TaskGroup" not in shown

    def test_an_expired_sas_even_when_verbose(self, azurite, workflow):
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

    def test_a_full_disk(self, workflow, container, small_disk):
        container.upload_blob("runs/one/data/a.txt", bytes(6_000_000))
        shown = self.message(workflow.run("--local-storage-prefix", str(small_disk)))
        assert f"{workflow.prefix}/data/a.txt: the disk of {small_disk}" in shown
        assert "has no room for it" in shown
        assert not [p for p in small_disk.rglob("*") if p.is_file()]

    def test_rights_to_read_alone(self, azurite, workflow, data):
        """The SAS lacks the right to list, which it takes to know of a directory."""
        data(["a.txt"])
        shown = self.message(workflow.run(AZ_BLOB_ACCOUNT_URL=azurite.sas_url(permission="r")))
        assert f"{workflow.prefix}/b.txt/: the SAS in AZ_BLOB_ACCOUNT_URL does not permit this" in shown
        assert "Failed to check" not in shown, "an error around another one"

    @pytest.mark.parametrize("wanted", ["0", "many"])
    def test_a_limit_of_requests_that_cannot_be(self, workflow, data, wanted):
        data(["a.txt"])
        shown = self.message(workflow.run("--storage-azblob-max-requests-per-second", wanted))
        assert f"--storage-azblob-max-requests-per-second is {wanted}, which is no number above 0" in shown
        assert "Failed to check" not in shown, "an error around another one"

    def test_a_cache_between_workflows_that_is_no_place_in_storage(self, azurite, workflow, data, tmp_path):
        data(["a.txt"])
        workflow.write(
            'rule:\n    name: "one"\n    input: "data/a.txt"\n    output: "b.txt"\n    cache: True\n'
            '    shell: "cp {input} {output}"\n'
        )
        environ = {"AZ_BLOB_ACCOUNT_URL": azurite.sas_url(), "SNAKEMAKE_OUTPUT_CACHE": str(tmp_path)}
        shown = self.message(workflow.run("--cache", **environ))
        assert "a place in storage begins with az://" in shown and "set SNAKEMAKE_OUTPUT_CACHE" in shown

    def test_nobody_listens(self, workflow):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))  # bound, but not listening
            endpoint = f"http://127.0.0.1:{held.getsockname()[1]}/a"
            account = f"AccountName=a;AccountKey=a2V5;BlobEndpoint={endpoint}"
            shown = self.message(workflow.run(AZ_BLOB_CONNECTION_STRING=account))
        assert "nothing accepts connections at http://127.0.0.1:" in shown
