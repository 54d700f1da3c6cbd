"""Real tools on real formats: reads are mapped with bwa, sorted with samtools and called with bcftools, each job in a
container with Debian's packages, on top of the image for tasks as its page tells users to add them."""

import os
import random
import re
import subprocess
from pathlib import Path

import pytest
from support.container_runs import batch_leftovers, snakemake
from support.emulator import wait_until

from snakemake.azure.image.contents import Contents, Need, lacking

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

WORKFLOW = Path(__file__).parent / "mapping"
LENGTH, READ, READS = 12_000, 100, 2_400
# Where the individuals differ from the reference, and whether it is so in both of their chromosomes.
VARIANTS = {"mother": {1500: True, 4200: False, 9100: True}, "child": {1500: True, 4200: True, 7777: True}}


@pytest.fixture(scope="module")
def tools_image(snakemake_image) -> str:
    name = "azbatch-mapping:test"
    command = [
        "docker",
        "build",
        "--network",
        "host",
        "--tag",
        name,
        "--build-arg",
        f"IMAGE={snakemake_image}",
    ]
    done = subprocess.run([*command, str(WORKFLOW)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return name


def other(base: str) -> str:
    return {"A": "G", "G": "A", "C": "T", "T": "C"}[base]


def lay_inputs(folder: Path) -> None:
    """A reference of random bases, and reads from both strands of each individual's two chromosomes."""
    rng = random.Random(20)
    reference = "".join(rng.choices("ACGT", k=LENGTH))
    (folder / "reference").mkdir(parents=True)
    (folder / "reads").mkdir()
    lines = "\n".join(re.findall(".{1,60}", reference))
    (folder / "reference/chromosome.fa").write_text(f">chromosome\n{lines}\n")
    for name, variants in VARIANTS.items():
        copies = [list(reference), list(reference)]
        for position, both in variants.items():
            for copy in copies[: 2 if both else 1]:
                copy[position - 1] = other(copy[position - 1])
        with (folder / f"reads/{name}.fastq").open("w") as file:
            for number in range(READS):
                start = rng.randrange(LENGTH - READ)
                read = "".join(copies[number % 2][start : start + READ])
                if rng.random() < 0.5:
                    read = read[::-1].translate(str.maketrans("ACGT", "TGCA"))
                file.write(f"@{name}{number}\n{read}\n+\n{'I' * READ}\n")


def lay_workflow(folder: Path) -> None:
    subprocess.run(["cp", "-r", f"{WORKFLOW}/.", str(folder)], check=True)


RESULTS = ["calls/variants.tsv", "report/summary.tsv", "report/positions.svg"]
RESULTS += [f"mapped/{name}.stats.txt" for name in VARIANTS]


@pytest.fixture
def locally(docker_engine, tools_image, tmp_path) -> dict[str, bytes]:
    """What a run with local files makes, in one container of that image."""
    folder = tmp_path / "locally"
    lay_inputs(folder)
    lay_workflow(folder)
    docker_engine.containers.run(
        tools_image,
        ["snakemake", "--cores", "2", "--directory", "/workflow", "--snakefile", "/workflow/Snakefile"],
        volumes={str(folder): {"bind": "/workflow", "mode": "rw"}},
        user=f"{os.getuid()}:{os.getgid()}",
        network_mode="host",
        remove=True,
    )
    return {name: (folder / name).read_bytes() for name in RESULTS}


def test_variants_are_what_a_local_run_finds(tools_image, docker_emulator, azurite, tmp_path, locally):
    folder = tmp_path / "here"
    lay_workflow(folder)
    lay_inputs(folder)
    blobs = azurite.new_container()
    arguments = (folder, docker_emulator, azurite, blobs.container_name, tools_image)
    uploaded = snakemake(*arguments, "--az-batch-upload")
    assert uploaded.returncode == 0 and "Uploaded 3 files" in uploaded.stdout + uploaded.stderr

    ended = snakemake(*arguments)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    there = {name: blobs.download_blob(f"run/{name}").readall() for name in RESULTS}
    assert there == locally
    calls = [line.split("\t") for line in there["calls/variants.tsv"].decode().splitlines()]
    assert {int(position): genotypes for _, position, _, _, *genotypes in calls} == {
        1500: ["1/1", "1/1"],
        4200: ["0/1", "1/1"],
        7777: ["0/0", "1/1"],
        9100: ["1/1", "0/0"],
    }
    again = snakemake(*arguments)
    assert "Nothing to be done" in again.stdout + again.stderr
    downloaded = snakemake(*arguments, "--az-batch-download")
    assert downloaded.returncode == 0
    assert {name: (folder / name).read_bytes() for name in RESULTS} == there
    wait_until(lambda: not batch_leftovers(docker_emulator))


def test_the_image_says_what_it_has(docker_engine, tools_image, snakemake_image):
    """Its own labels are those of the image below; what came on top, the history tells."""
    plain, tools = (docker_engine.images.get(name) for name in (snakemake_image, tools_image))
    bwa = Need("bwa", "rule map_reads calls it", "RUN apt-get install bwa", program="bwa")
    conda = Need("conda", "a rule has an environment", "COPY --from=x /opt/conda /opt/conda", program="conda")
    assert lacking("x", contents(plain), [bwa])[0] is not None
    assert lacking("x", contents(tools), [bwa]) == (None, None)
    assert lacking("x", contents(tools), [conda])[1] is not None


def contents(image) -> Contents:
    history = [
        {"created_by": e["CreatedBy"], "empty_layer": e["Size"] == 0} for e in reversed(image.history())
    ]
    return Contents.of(image.labels, history)
