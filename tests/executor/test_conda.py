"""Conda environments, made by a real conda from a channel in a folder: once for each node, and kept in storage."""

import os
import shutil
from pathlib import Path

import pytest
from support.conda import CONDA, make_channel, needs_conda

pytestmark = needs_conda

WORKFLOW = """
rule all:
    input: expand("{n}.txt", n=range(3)), "script.txt"

rule greet:
    output: "{n}.txt"
    conda: "envs/greet.yaml"
    shell: "greet > {output}; echo $GREETED >> {output}"

rule script:
    output: "script.txt"
    conda: "envs/greet.yaml"
    script: "greet.sh"
"""
POST_DEPLOY = "mkdir -p $CONDA_PREFIX/etc/conda/activate.d; echo export GREETED=often > $CONDA_PREFIX/etc/conda/activate.d/a.sh"


@pytest.fixture
def site(site, tmp_path):
    """With an environment's definition, a script that comes after its creation, and conda where tasks find it."""
    url = make_channel(tmp_path / "channel")
    settings = tmp_path / "condarc"
    settings.write_text("solver: classic\nchannel_priority: strict\nnumber_channel_notices: 0\n")
    bin_of_tasks = tmp_path / "bin"
    bin_of_tasks.mkdir()
    log = tmp_path / "conda.log"
    (bin_of_tasks / "conda").write_text(
        f'#!/bin/sh\necho "$@" >> {log}\nexport CONDARC={settings}\nexec {CONDA} "$@"\n'
    )
    (bin_of_tasks / "conda").chmod(0o755)
    site.write(
        {
            "Snakefile": WORKFLOW,
            "envs/greet.yaml": f"channels: ['{url}']\ndependencies: [greet=1.0]\n",
            "envs/greet.post-deploy.sh": POST_DEPLOY,
            "greet.sh": 'greet > "${snakemake_output[0]}"\n',
        }
    )
    site.environ["PATH"] = os.pathsep.join([str(bin_of_tasks), site.environ["PATH"]])
    site.environ["CONDARC"] = str(settings)
    site.conda_log, site.precommand = log, f"export PATH={bin_of_tasks}:$PATH"
    return site


def made(site) -> int:
    """How many environments conda has made so far."""
    return sum(" create " in f" {line} " for line in site.conda_log.read_text().splitlines())


def run(site, *args, **changes):
    result = site.run("--sdm", "conda", "--precommand", site.precommand, *args, **changes)
    assert result.code == 0, result.last_error()
    return result


def environments(site):
    return {name for name in site.blobs() if name.startswith(".snakemake-azbatch/conda/")}


def test_once_for_a_node_and_its_next_run(site, tmp_path):
    prefix = tmp_path / "envs"  # a path that nodes of the next run have as well
    options = {"az_batch_nodes": "1", "conda_prefix": str(prefix)}
    run(site, **options)
    asked = len(site.conda_log.read_text().splitlines())
    assert made(site) == 1 and asked < 10, site.conda_log.read_text()
    version, path, greeted = site.read("0.txt").split()
    assert (version, greeted) == ("1.0", "often") and Path(path).parent == prefix
    assert site.read("script.txt").split() == [version, path]
    assert len(environments(site)) == 1

    shutil.rmtree(prefix)
    run(site, "--forceall", **options)
    assert made(site) == 1 and site.read("0.txt").split() == [version, path, greeted]


def test_without_a_prefix_in_the_nodes_shared_directory(site, tmp_path):
    """And with a wrapper from elsewhere, whose environment has a script of its own."""
    wrapper = tmp_path / "elsewhere" / "greet"
    wrapper.mkdir(parents=True)
    (wrapper / "wrapper.py").write_text(
        "from snakemake.shell import shell; shell('greet > {snakemake.output}')"
    )
    definition = (site.workdir / "envs/greet.yaml").read_text().replace("1.0", "2.0")
    (wrapper / "environment.yaml").write_text(definition)
    (wrapper / "environment.post-deploy.sh").write_text("echo 3.0 > $CONDA_PREFIX/version")
    rule = f'rule far:\n    output: "far.txt"\n    wrapper: "file://{wrapper}"\n'
    site.write({"Snakefile": WORKFLOW + rule})
    run(site, "--conda-prefix", "envs", "far.txt", "0.txt", az_batch_nodes="1")
    assert made(site) == 2
    assert "/shared/snakemake-conda-" in site.read("0.txt")
    version, path = site.read("far.txt").split()
    assert version == "2.0" and "/shared/snakemake-conda-" in path


def test_what_cannot_be_made_fails_its_jobs_and_leaves_nothing(site, tmp_path):
    site.write({"envs/greet.post-deploy.sh": "exit 3"})
    result = site.run("--sdm", "conda", "--precommand", site.precommand, conda_prefix=str(tmp_path / "envs"))
    assert result.code == 1 and "Traceback" not in result.output
    assert not environments(site) and not list((tmp_path / "envs").glob("*.env_setup_done"))
