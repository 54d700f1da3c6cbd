"""Whole workflows by the real command line, with the local executor and Azurite as default storage."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.azurite import Azurite


@dataclass
class Workflow:
    azurite: Azurite
    folder: Path
    container: str

    @property
    def prefix(self) -> str:
        return f"az://{self.container}/runs/one"

    def write(self, text: str) -> None:
        (self.folder / "Snakefile").write_text(text)

    def run(
        self, *options: str, prefix: str | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs Snakemake in the folder; without AZ_* or SNAKEMAKE_* among `environ`, the account is Azurite's."""
        storage = ["--default-storage-provider", "azblob", "--default-storage-prefix", prefix or self.prefix]
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", *storage, *options],
            cwd=self.folder,
            env={**os.environ, **(environ or {"AZ_BLOB_ACCOUNT_URL": self.azurite.sas_url()})},
            capture_output=True,
            text=True,
            timeout=120,
        )
