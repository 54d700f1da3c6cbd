"""The example workflow, copied to a temporary directory and run there with the real command line."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "variants"


@dataclass(frozen=True)
class Workflow:
    directory: Path

    def run(
        self, *options: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`snakemake --cores 2` with more options; without storage, and without the user's own settings."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE_", "AZ_", "AZURE_"))}
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", *options],
            cwd=self.directory,
            env=inherited | (environment or {}),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=200,
        )

    def results(self) -> list[Path]:
        """All result files, without the marks that Snakemake leaves in directories."""
        found = (self.directory / "results").rglob("*")
        return [path for path in found if path.is_file() and path.name != ".snakemake_timestamp"]

    def table(self, path: str) -> list[dict[str, str]]:
        header, *rows = (line.split("\t") for line in (self.directory / path).read_text().splitlines())
        return [dict(zip(header, row, strict=True)) for row in rows]

    def variants(self, path: str) -> set[tuple[int, str, str]]:
        """Position, reference and new bases of each record of a VCF file."""
        lines = (self.directory / path).read_text().splitlines()
        fields = (line.split("\t") for line in lines if not line.startswith("#"))
        return {(int(f[1]), f[3], f[4]) for f in fields}


def copied(target: Path, without: tuple[str, ...] = ()) -> Workflow:
    made = (".snakemake", "results", "logs", "__pycache__")
    shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns(*made, *without))
    return Workflow(target)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """One whole run, shared by the tests that only look at it."""
    workflow = copied(tmp_path_factory.mktemp("finished") / "variants")
    run = workflow.run()
    assert run.returncode == 0, run.stdout
    return workflow


@pytest.fixture
def spoilable(finished, tmp_path) -> Workflow:
    """A finished run to change: a copy with all times kept, so that nothing is out of date in it."""
    shutil.copytree(finished.directory, tmp_path / "variants")
    return Workflow(tmp_path / "variants")
