"""What a workflow needs is compared with what its image says it has, in a dry run too: no Batch account is asked for that."""

import base64
import os

import pytest
from snakemake.common import __version__
from support.registry import public_registry

from snakemake.azure.image.contents import PACKAGES, TOOLS, measured
from snakemake.azure.image.labels import VERSION

HISTORY = [{"created_by": f"LABEL {PACKAGES}=...", "empty_layer": True}]
SNAKEFILE = """
import sys, yaml, {module}
try:
    import nbformat
except ImportError:
    nbformat = None
rule all:
    output: "a.txt"
    shell: "touch {{output}}"
"""


@pytest.fixture
def dry_run(site):
    """A dry run of a Snakefile with an image that has these labels, for an account of Azure; its output and code."""
    site.environ["AZ_BATCH_ACCOUNT_KEY"] = base64.b64encode(os.urandom(64)).decode()

    def run(snakefile, labels, *options, history=HISTORY, **files):
        site.write({"Snakefile": snakefile, **files})
        with public_registry("smk/image", {VERSION: __version__, **labels}, history) as host:
            url = "https://acct.westeurope.batch.azure.com"
            done = site.run(
                "-n", "--az-batch-account-url", url, "--container-image", f"{host}/smk/image:1", *options
            )
        assert "Traceback" not in done.output
        return done

    return run


def without(*names):
    labels = measured()
    kept = [pin for pin in labels[PACKAGES].split() if pin.partition("==")[0] not in names]
    return {**labels, PACKAGES: " ".join(kept)}


def test_a_package_that_the_snakefile_imports(dry_run):
    done = dry_run(
        SNAKEFILE.format(module="hypothesis.strategies"), without("hypothesis", "nbformat", "pyyaml")
    )
    assert done.code == 1
    said = done.last_error()
    assert "the Python package hypothesis (Snakefile imports hypothesis)" in said
    assert "RUN pip install hypothesis==" in said and "nbformat" not in said


def test_a_package_that_a_module_beside_it_imports(dry_run):
    done = dry_run(
        SNAKEFILE.format(module="beside"), without("hypothesis"), **{"beside.py": "import hypothesis\n"}
    )
    assert done.code == 1 and "beside.py imports hypothesis" in done.last_error()


@pytest.mark.parametrize("labels", [measured(), {}])
def test_an_image_that_has_all_or_says_nothing(dry_run, labels):
    assert dry_run(SNAKEFILE.format(module="hypothesis"), labels).code == 0


def test_an_image_on_top_is_believed_to_have_it(dry_run):
    more = [{"created_by": "RUN pip install -r requirements.txt"}]
    done = dry_run(SNAKEFILE.format(module="hypothesis"), without("hypothesis"), history=[*HISTORY, *more])
    assert done.code == 0 and "does not say that it has what the workflow's tasks need" in done.output


def test_conda_and_programs_of_scripts(dry_run):
    text = """
rule all:
    input: "a.txt", "b.txt"
rule a:
    output: "a.txt"
    conda: "env.yaml"
    script: "a.jl"
rule b:
    output: "b.txt"
    script: "b.R"
"""
    files = {"env.yaml": "channels: [conda-forge]\ndependencies: [julia]\n", "a.jl": "", "b.R": ""}
    done = dry_run(text, {**measured(), TOOLS: "bash"}, "--sdm", "conda", **files)
    said = done.last_error()
    assert done.code == 1 and "conda (--software-deployment-method conda, for rule a)" in said
    assert "Rscript (rule b has a script for it)" in said and "julia" not in said
