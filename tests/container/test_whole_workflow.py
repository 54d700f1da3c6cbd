"""Whole workflows by the real command line, with every task in a container made from the image."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.container_runs import SNAKEMAKE, batch_leftovers, containers_of, snakemake
from support.emulator import wait_until

from azure_batch_emulator import DEV_ACCOUNT, DEV_KEY
from azure_batch_emulator.nodes.runners.docker import TASK_USER

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

WORDS = {"a": "one two three\n", "b": "four five\n"}
SNAKEFILE = """
configfile: "config.yaml"

rule all:
    input: "results/report.txt"

rule count:
    input: "data/{sample}.txt"
    output: temp("steps/{sample}.count")
    shell: "wc -w < {input} > {output}"

rule where:
    output: "steps/{sample}.json"
    params: greeting=config["greeting"]
    threads: 2
    resources: mem_mb=1024
    script: "scripts/where.py"

rule parts:
    input: words="steps/{sample}.count", where="steps/{sample}.json"
    output: directory("results/parts_{sample}")
    shell: "mkdir -p {output}/deep && cp {input.words} {output}/deep/count && cp {input.where} {output}/where.json"

rule report:
    input: expand("results/parts_{sample}", sample=["a", "b"])
    output: "results/report.txt"
    shell: "for part in {input}; do cat $part/deep/count; done > {output}"
"""
WHERE = """
import json, os, sys
from pathlib import Path

Path(snakemake.output[0]).write_text(json.dumps({
    "prefix": sys.prefix,
    "image": Path("/opt/snakemake/version").read_text().strip(),
    "in_docker": Path("/.dockerenv").exists(),
    "greeting": snakemake.params.greeting,
    "threads": snakemake.threads,
    "task": os.environ["AZ_BATCH_TASK_ID"],
    "uid": os.getuid(),
}))
"""


@pytest.fixture
def workflow(tmp_path) -> Path:
    folder = tmp_path / "workflow"
    (folder / "scripts").mkdir(parents=True)
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "scripts" / "where.py").write_text(WHERE)
    (folder / "config.yaml").write_text("greeting: hello from the client\n")
    return folder


def test_every_task_runs_in_a_container(docker_engine, snakemake_image, docker_emulator, azurite, workflow):
    assert not Path("/opt/snakemake/version").exists(), "this would prove nothing"
    blobs = azurite.new_container()
    for sample, text in WORDS.items():
        blobs.upload_blob(f"run/data/{sample}.txt", text)
    since = int(time.time())

    ended = snakemake(workflow, docker_emulator, azurite, blobs.container_name, snakemake_image)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert blobs.download_blob("run/results/report.txt").readall().decode().split() == ["3", "2"]
    image = docker_engine.images.get(snakemake_image)
    tasks = set()
    for sample in WORDS:
        where = json.loads(blobs.download_blob(f"run/results/parts_{sample}/where.json").readall())
        tasks.add(where.pop("task"))
        assert where == {
            "prefix": "/opt/snakemake",
            "image": image.labels["org.opencontainers.image.version"],
            "in_docker": True,
            "greeting": "hello from the client",
            "threads": 2,
            "uid": os.getuid() or TASK_USER[0],
        }
    assert len(tasks) == 2
    # The engine's own record: as many containers as jobs, all from this image and of this emulator.
    events = docker_engine.events(
        since=since, until=int(time.time()) + 1, decode=True, filters={"type": "container", "event": "start"}
    )
    mark = f"{docker_emulator.pid}@"
    started = [e["Actor"]["Attributes"] for e in events]
    started = [a for a in started if a.get("azure-batch-emulator.process", "").startswith(mark)]
    assert len(started) == 7
    assert {a["image"] for a in started} == {snakemake_image}
    names = {b.name for b in blobs.list_blobs()}
    assert not any(name.startswith("run/steps/") and name.endswith(".count") for name in names), "temp() goes"
    wait_until(lambda: not batch_leftovers(docker_emulator))
    wait_until(lambda: not containers_of(docker_engine, docker_emulator))


def test_a_failing_task_shows_its_stderr(docker_engine, snakemake_image, docker_emulator, azurite, workflow):
    (workflow / "Snakefile").write_text(
        'rule all:\n    output: "never.txt"\n'
        '    shell: "echo the-reason-is-$(cat /opt/snakemake/version) >&2; exit 7"\n'
    )
    blobs = azurite.new_container()
    ended = snakemake(workflow, docker_emulator, azurite, blobs.container_name, snakemake_image)
    said = ended.stdout + ended.stderr
    version = docker_engine.images.get(snakemake_image).labels["org.opencontainers.image.version"]
    assert ended.returncode == 1
    assert f"the-reason-is-{version}" in said
    assert DEV_KEY not in said
    wait_until(lambda: not batch_leftovers(docker_emulator))
    wait_until(lambda: not containers_of(docker_engine, docker_emulator))


def test_an_image_that_cannot_be_pulled(docker_emulator, azurite, workflow):
    blobs = azurite.new_container()
    for sample, text in WORDS.items():
        blobs.upload_blob(f"run/data/{sample}.txt", text)
    image = "127.0.0.1:9/no/image:1"
    ended = snakemake(workflow, docker_emulator, azurite, blobs.container_name, image)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert image in said
    assert "--container-image" in said
    assert "Traceback" not in said
    wait_until(lambda: not batch_leftovers(docker_emulator))


def test_a_killed_emulator_leaves_no_container_to_the_next(
    docker_engine, snakemake_image, docker_emulator, azurite, workflow, tmp_path
):
    """After kill -9 of the emulator its containers still run; the next emulator on this machine removes them."""
    (workflow / "Snakefile").write_text('rule all:\n    output: "never.txt"\n    shell: "sleep 600"\n')
    blobs = azurite.new_container()
    environment = os.environ | {
        "AZ_BATCH_ACCOUNT_NAME": DEV_ACCOUNT,
        "AZ_BATCH_ACCOUNT_KEY": DEV_KEY,
        "AZ_BLOB_ACCOUNT_URL": azurite.sas_url(),
    }
    command = [
        str(SNAKEMAKE),
        "--az-batch",
        "--az-batch-account-url",
        docker_emulator.url,
        "--jobs",
        "1",
    ]
    command += ["--default-storage-provider", "azblob"]
    command += ["--default-storage-prefix", f"az://{blobs.container_name}/run"]
    command += ["--container-image", snakemake_image]
    with (tmp_path / "client.log").open("wb") as log:
        client = subprocess.Popen(command, cwd=workflow, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: containers_of(docker_engine, docker_emulator), 60)
        os.kill(docker_emulator.pid, signal.SIGKILL)
        os.waitid(os.P_PID, docker_emulator.pid, os.WEXITED | os.WNOWAIT)
    finally:
        client.kill()
        client.wait(30)
    left = containers_of(docker_engine, docker_emulator)
    assert left

    from azure_batch_emulator.nodes.runners import NodeSpec, make_runner

    runner = make_runner("docker")
    assert runner.boot_node(NodeSpec("n", tmp_path, 1, 1024, 1, (), ())) is None
    runner.close()
    assert not containers_of(docker_engine, docker_emulator)
