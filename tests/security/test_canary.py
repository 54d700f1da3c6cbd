"""Runs with credentials that stand out, and a search for them in all that the runs leave behind or let others see.

Each credential may be where docs/azure.md says that it is, and nowhere else:

- the password of a registry: in what the service keeps of pools, for itself;
- what `--envvars` names and the SAS for tasks: in the Batch job's settings, and so in what the service keeps of jobs;
- the client's own keys: nowhere.
"""

import base64
import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

import pytest
from executor.conftest import SNAKEMAKE, Site
from support.azurite import running_azurite
from support.emulator import running_emulator

ACCOUNT = "canaryaccount"
VERBOSE = [
    "--verbose",
    "--printshellcmds",
    "--show-failed-logs",
    "--debug-dag",
    "--keep-going",
    "--envvars",
    "CANARY",
]
WORKFLOW = """
rule all:
    input: "good", "bad", "python", storage.azblob("az://OTHER/out")

rule good:
    input: "in.txt", storage.azblob("az://READ/in.txt")
    output: "good", storage.azblob("az://OTHER/out")
    log: "good.log"
    benchmark: "good.tsv"
    shell: "cat {input} > {output[0]}; cp {output[0]} {output[1]}; echo said >&2; env | cut -c 1-8 > {log}"

rule bad:
    input: "in.txt"
    output: "bad"
    log: "bad.log"
    shell: "echo failed > {log}; exit 3"

rule python:
    output: "python"
    run: raise ValueError("in a task")
"""


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(64)).decode()


@dataclass
class Seen:
    """Command lines of all processes of this machine, looked at again and again."""

    lines: set[str] = field(default_factory=set)

    def look(self) -> None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                self.lines.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    @contextmanager
    def watching(self) -> Iterator[None]:
        end = threading.Event()

        def watch() -> None:
            while not end.wait(0.03):
                self.look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


@dataclass
class Scene:
    site: Site
    location: Path
    key: str
    batch_key: str
    variable: str
    seen: Seen
    jobs: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def spellings(self, secret: str) -> set[str]:
        """As it is, as a part of a URL, and as JSON has it."""
        return {secret, quote(secret, safe=""), unquote(secret), json.dumps(secret)[1:-1]}

    def is_in(self, secret: str, text: str) -> bool:
        return any(each in text for each in self.spellings(secret))

    def holders(self, secret: str, folder: Path) -> set[str]:
        """Files below the folder that hold it, in their names or content."""
        wanted = [each.encode() for each in self.spellings(secret)]
        found = set()
        for path in folder.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            if any(each in content or each in os.fsencode(path) for each in wanted):
                found.add(str(path.relative_to(folder)))
        return found

    def run(self, *args: str, **changes: str | None):
        """A run that a reader of the account watches: all that they are shown of pools, jobs and tasks is kept."""
        end = threading.Event()

        def watch() -> None:
            client = self.site.emulator.client()
            while not end.wait(0.1):
                with suppress(Exception):
                    for job in client.list_jobs():
                        self.jobs.append(json.dumps(job.as_dict()))
                        self.others += [json.dumps(task.as_dict()) for task in client.list_tasks(job.id)]
                    self.others += [json.dumps(pool.as_dict()) for pool in client.list_pools()]
                    self.others += [
                        json.dumps(n.as_dict()) for p in client.list_pools() for n in client.list_nodes(p.id)
                    ]

        reader = threading.Thread(target=watch)
        reader.start()
        try:
            with self.seen.watching():
                return self.site.run(*args, **changes)
        finally:
            end.set()
            reader.join()

    def signatures(self) -> set[str]:
        """Of each SAS that a reader of the account saw in a job's settings."""
        found = set()
        for job in map(json.loads, self.jobs):
            for setting in job.get("commonEnvironmentSettings", []):
                for part in setting.get("value", "").replace('"', "&").replace("?", "&").split("&"):
                    if part.startswith("sig="):
                        found.add(unquote(part.removeprefix("sig=")))
        return found


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    key, folder = new_key(), tmp_path_factory.mktemp("canary")
    with (
        running_azurite(
            tmp_path_factory.mktemp("azurite-canary"), AZURITE_ACCOUNTS=f"{ACCOUNT}:{key}"
        ) as started,
        running_emulator(
            location=folder / "location", request_log=folder / "requests", log_level="debug"
        ) as emulator,
    ):
        azurite = replace(started, account=ACCOUNT, key=key)
        batch_key = (folder / "location" / "account-key").read_text()
        emulator.key = batch_key
        keep = {n: v for n, v in os.environ.items() if not n.startswith(("AZ_", "AZURE_", "SNAKEMAKE_"))}
        variable = secrets.token_hex(20)
        environ = keep | emulator.environment() | {"CANARY": variable, "PYTHONUNBUFFERED": "1"}
        workdir = folder / "workflow"
        workdir.mkdir()
        site = Site(workdir, emulator, azurite, azurite.new_container(), environ)
        other, read = azurite.new_container(), azurite.new_container()
        read.upload_blob("in.txt", b"in")
        names = WORKFLOW.replace("OTHER", other.container_name).replace("READ", read.container_name)
        site.write({"Snakefile": names})
        site.put("in.txt")
        yield Scene(site, folder / "location", key, batch_key, variable, Seen())


def ways(scene) -> dict[str, tuple[dict[str, str], list[str]]]:
    """How the storage account's credential is given: variables, and the secrets in them."""
    azurite = scene.site.azurite
    sas = azurite.sas(expiry=timedelta(hours=3))
    text = f"AccountName={ACCOUNT};AccountKey={scene.key};BlobEndpoint={azurite.url};"
    return {
        "key": ({"AZ_BLOB_ACCOUNT_URL": azurite.url, "AZ_BLOB_ACCOUNT_KEY": scene.key}, [scene.key]),
        "connection string": ({"AZ_BLOB_CONNECTION_STRING": text}, [scene.key]),
        "SAS": ({"AZ_BLOB_ACCOUNT_URL": f"{azurite.url}?{sas}"}, parse_qs(sas)["sig"]),
    }


@pytest.mark.parametrize("way", ["connection string", "SAS"])
def test_a_run_with_failures_and_all_that_it_can_say(scene, way):
    given, own = ways(scene)[way]
    password = secrets.token_hex(20)
    given |= {"AZ_BATCH_REGISTRY_USER": "puller", "AZ_BATCH_REGISTRY_PASSWORD": password}
    site = replace(scene.site, environ=scene.site.environ | given)
    scene = replace(scene, site=site, jobs=[], others=[], seen=Seen())
    run = scene.run(*VERBOSE, "--forceall")
    assert run.code == 1 and "Error in rule bad" in run.output and "in a task" in run.output, run.last_error()
    assert site.read("good") == "datain"
    report = site.run(
        command=[*map(str, [SNAKEMAKE, "--cores", 1, "--report", "report.html", "good"]), *storage(site)]
    )
    assert report.code == 0, report.last_error()

    signatures = scene.signatures() - set(own)
    assert way == "SAS" or len(signatures) == 3, "each container has a SAS of its own"
    secret = {*own, *signatures, scene.batch_key, scene.variable, password}
    shown = {
        "the terminal": run.output + report.output,
        "tasks, pools and nodes": "\n".join(scene.others),
        "command lines": "\n".join(scene.seen.lines),
        "the emulator's requests": scene.location.with_name("requests").read_text()
        + "".join(site.emulator.output),
        "the blobs": everything_stored(site.azurite),
    }
    assert scene.jobs and any("azure.node" in line for line in scene.seen.lines)
    for each in secret:
        for where, text in shown.items():
            assert not scene.is_in(each, text), f"a secret is in {where}"
        assert scene.holders(each, site.workdir) == set()
        # The service keeps jobs with their settings, for its owner alone; and its own key of this start.
        kept = {"account-key"} if each == scene.batch_key else {"state", "state.new"}
        assert scene.holders(each, scene.location) <= kept
    jobs = "\n".join(scene.jobs)
    assert scene.is_in(scene.variable, jobs)
    for each in {scene.batch_key, password, *(own if way != "SAS" else ())}:
        assert not scene.is_in(each, jobs), "a key is in a job"


def storage(site) -> list[str]:
    return ["--default-storage-provider", "azblob", "--default-storage-prefix", site.prefix]


def everything_stored(azurite) -> str:
    service, found = azurite.service(), []
    for container in service.list_containers():
        client = service.get_container_client(container.name)
        for blob in client.list_blobs(include=["metadata"]):
            content = client.download_blob(blob.name).readall().decode(errors="replace")
            found.append(f"{blob.name} {blob.metadata} {content}")
    return "\n".join(found)


def wrong_batch_key(scene):
    scene.site.environ["AZ_BATCH_ACCOUNT_KEY"] = new_key()
    return scene.site.environ["AZ_BATCH_ACCOUNT_KEY"]


def wrong_storage_key(scene):
    scene.site.environ["AZ_BLOB_ACCOUNT_KEY"] = new_key()
    return scene.site.environ["AZ_BLOB_ACCOUNT_KEY"]


def expired_sas(scene):
    sas = scene.site.azurite.sas(expiry=timedelta(hours=-1))
    scene.site.environ["AZ_BLOB_ACCOUNT_URL"] += f"?{sas}"
    return parse_qs(sas)["sig"][0]


def cut_connection_string(scene):
    del scene.site.environ["AZ_BLOB_ACCOUNT_URL"]
    scene.site.environ["AZ_BLOB_CONNECTION_STRING"] = f"AccountKey={scene.key}"
    return scene.key


@pytest.mark.parametrize(
    "fail",
    [wrong_batch_key, wrong_storage_key, expired_sas, cut_connection_string],
)
def test_failures_of_each_kind_say_nothing_of_the_credential(scene, fail):
    given, _ = ways(scene)["key"]
    scene = replace(scene, site=replace(scene.site, environ=scene.site.environ | given), seen=Seen())
    secret = fail(scene)
    with scene.seen.watching():
        run = scene.site.run(*VERBOSE)
    assert run.code == 1, run.last_error()
    assert not scene.is_in(secret, run.output) and not scene.is_in(scene.key, run.output)
    assert not any(scene.is_in(secret, line) for line in scene.seen.lines)
    assert scene.holders(secret, scene.site.workdir) == set()
