"""Starting Azurite: what counts is what it says, not who answers at a port."""

import pytest

from azure_batch_emulator.host.azurite import Azurite, AzuriteError


@pytest.fixture
def azurite_that(tmp_path, monkeypatch):
    """Puts a script in Azurite's place."""

    def make(script):
        program = tmp_path / "azurite"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("AZURITE", str(program))
        return Azurite(0, tmp_path / "blobs")

    return make


def test_it_chooses_its_port_itself(azurite_that):
    """A port that was looked up for it could be another's by the time that it is there."""
    said = "Azurite Blob service is successfully listening at http://127.0.0.1:42"
    blobs = azurite_that(f'printf "{said}"; sleep 0.2; echo 42; exec sleep 300')
    blobs.start()
    try:
        assert blobs.port == 4242, "the whole line"
    finally:
        blobs.stop()


def test_why_it_did_not_start_is_told(azurite_that):
    with pytest.raises(AzuriteError, match="exit code 7: address already in use"):
        azurite_that("echo address already in use >&2; exit 7").start()


def test_the_program_for_blobs_alone(azurite_that, tmp_path, monkeypatch):
    """`azurite-blob` says it in other words."""
    blobs = azurite_that(
        'echo "Azurite Blob service successfully listens on http://127.0.0.1:4243"; exec sleep 300'
    )
    (tmp_path / "azurite").rename(tmp_path / "azurite-blob")
    monkeypatch.setenv("AZURITE", str(tmp_path / "azurite-blob"))
    blobs.start()
    try:
        assert blobs.port == 4243
    finally:
        blobs.stop()
