"""The emulator as a distribution of its own: without Snakemake, complete, and serving the real client."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from packaging.requirements import Requirement
from support.emulator import wait_until

from azure_batch_emulator import DEV_ACCOUNT, DEV_KEY, __version__

from ..emulator.helpers import make_job, make_pool, shell, task, text
from .conftest import PYPROJECT, run


def test_name_version_and_licence(emulator_wheel, packed_tree):
    metadata = emulator_wheel.metadata()
    assert emulator_wheel.path.name == f"azure_batch_emulator-{__version__}-py3-none-any.whl"
    assert (metadata["Name"], metadata["License-Expression"]) == ("azure-batch-emulator", "MIT")
    assert metadata["Requires-Python"] == PYPROJECT["project"]["requires-python"]
    (licence,) = [content for name, content in emulator_wheel.files().items() if name.endswith("LICENSE")]
    assert licence == (packed_tree / "LICENSE").read_bytes()
    assert "azure-batch-emulator start" in metadata.get_payload()


def test_requirements_are_those_of_the_extra(emulator_wheel):
    found = {str(Requirement(line)) for line in emulator_wheel.metadata().get_all("Requires-Dist")}
    assert found == {str(Requirement(line)) for line in PYPROJECT["tool"]["azbatch"]["emulator"]}


def test_it_holds_the_package_and_nothing_else(emulator_wheel, packed_tree):
    own = [p for p in (packed_tree / "azure_batch_emulator").rglob("*") if p.is_file()]
    expected = {p.relative_to(packed_tree).as_posix(): p.read_bytes() for p in own}
    packed = {name: data for name, data in emulator_wheel.files().items() if ".dist-info/" not in name}
    assert packed == expected
    assert "azure_batch_emulator/data/api.json" in packed


@pytest.fixture(scope="module")
def alone(emulator_wheel, tmp_path_factory) -> Path:
    """An empty environment with the wheel in it, and all that it requires."""
    environment = tmp_path_factory.mktemp("alone") / "env"
    run(sys.executable, "-m", "venv", environment)
    run(environment / "bin" / "pip", "install", "-q", "--disable-pip-version-check", emulator_wheel.path)
    return environment / "bin"


def test_it_serves_the_real_client_without_snakemake(alone, tmp_path):
    listed = run(alone / "pip", "list", "--format=freeze").stdout.lower()
    assert "azure-batch-emulator==" in listed and "snakemake" not in listed
    run(alone / "pip", "check")
    assert (
        run(alone / "azure-batch-emulator", "--version").stdout.strip()
        == f"azure-batch-emulator {__version__}"
    )
    log = tmp_path / "log"
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with log.open("wb") as output:
        command = [alone / "azure-batch-emulator", "start", "--port", "0"]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        (url,) = wait_until(lambda: re.findall(r"ready at (http://[^\s,]+)", log.read_text()), 60)
        with BatchClient(url, AzureNamedKeyCredential(DEV_ACCOUNT, DEV_KEY)) as client:
            make_pool(client)
            make_job(client)
            client.create_task("job", task("t", shell("echo alone")))
            wait_until(lambda: client.get_task("job", "t").state == "completed")
            assert text(client.download_task_file("job", "t", "stdout.txt")) == "alone\n"
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()


def test_sources_are_not_packed_alone(packed_tree):
    build = run(sys.executable, "setup.py", "sdist", cwd=packed_tree / "misc" / "emulator", check=False)
    assert build.returncode != 0 and "build a wheel only" in build.stdout
