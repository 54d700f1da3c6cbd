"""The older clients of Azure Batch, unmodified, against the emulator."""

import os

import pytest

from .conftest import HERE, run


@pytest.mark.parametrize(
    "check", ["pools", "retired", "autoscale", "jobs", "schedules", "tasks", "files", "nodes"]
)
def test_azure_batch_14(emulator, old_python, check):
    output = run([old_python, HERE / "version_14.py", check], env=os.environ | emulator.environment())
    assert output == "done\n"


def test_azure_batch_10_of_javascript(emulator, node_client):
    node, folder = node_client
    output = run([node, HERE / "version_10.mjs", folder], env=os.environ | emulator.environment())
    assert output == "done\n"
