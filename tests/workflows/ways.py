"""The three ways in which each workflow is run: with local files, with files in blob storage, and as tasks of Batch."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.azurite import Azurite
from support.emulator import RunningEmulator

from snakemake.azure.blob.account import NOT_FOR_NODES

HERE = Path(__file__).parent
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
IMAGE = "registry.example.org/snakemake:test"
WAYS = ("local", "storage", "batch")


@dataclass
class Done:
    """A run that has ended."""

    code: int
    output: str

    @property
    def ran(self) -> list[str]:
        """The rules that were run, in order."""
        return re.findall(r"^(?:local)?(?:rule|checkpoint) (\S+):$", self.output, re.MULTILINE)


@dataclass
class Place:
    """A working directory and, but for the first way, a container for its files."""

    way: str
    folder: Path
    azurite: Azurite
    emulator: RunningEmulator
    container: Any = None
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, way: str, folder: Path, azurite: Azurite, emulator: RunningEmulator) -> "Place":
        drop = [n for n in os.environ if n in NOT_FOR_NODES or re.match("AZURE_|AZ_|SNAKEMAKE_", n)]
        environ = {name: value for name, value in os.environ.items() if name not in drop}
        environ |= {"WORKFLOWS_WORD": "of the environment", "XDG_CACHE_HOME": str(folder / "cache")}
        environ["PATH"] = (
            f"{SNAKEMAKE.parent}{os.pathsep}{os.environ['PATH']}"  # as in an environment that is active
        )
        work = folder / "work"
        work.mkdir(parents=True)
        place = cls(way, work, azurite, emulator, environ=environ)
        if way != "local":
            place.container = azurite.new_container()
            place.environ |= {"AZ_BLOB_ACCOUNT_URL": azurite.url, "AZ_BLOB_ACCOUNT_KEY": azurite.key}
            place.environ |= emulator.environment()
        return place

    @property
    def prefix(self) -> str:
        return f"az://{self.container.container_name}/run"

    def options(self) -> list[str]:
        if self.way == "local":
            return ["--cores", "4"]
        storage = ["--default-storage-provider", "azblob", "--default-storage-prefix", self.prefix]
        if self.way == "storage":
            return ["--cores", "4", *storage]
        account = ["--az-batch", "--az-batch-account-url", self.emulator.url, "--container-image", IMAGE]
        return [*account, *storage, "--jobs", "8", "--seconds-between-status-checks", "1"]

    def run(self, *args: str, timeout: float = 600) -> Done:
        done = subprocess.run(
            [str(SNAKEMAKE), *self.options(), *args],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        return Done(done.returncode, done.stdout)

    def write(self, files: dict[str, str]) -> None:
        """Files of the workflow itself."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def put(self, source: Path) -> None:
        """All files below `source` become inputs, where this way has them."""
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            name = path.relative_to(source).as_posix()
            if self.way == "local":
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, self.folder / name)
            else:
                self.container.upload_blob(f"run/{name}", path.read_bytes())

    def files(self, below: str = "") -> dict[str, bytes]:
        """What lies where this way keeps its files, by its path; without marks of directories."""
        if self.way == "local":
            root = self.folder / below if below else self.folder
            found = [p for p in root.rglob("*") if p.is_file() and p.name != ".snakemake_timestamp"]
            return {p.relative_to(self.folder).as_posix(): p.read_bytes() for p in found}
        start = f"run/{below}/" if below else "run/"
        blobs = self.container.list_blobs(name_starts_with=start, include=["metadata"])
        names = [b.name for b in blobs if "hdi_isfolder" not in {k.lower() for k in b.metadata or {}}]
        return {
            name.removeprefix("run/"): self.container.download_blob(name).readall()
            for name in names
            if not name.endswith("/.snakemake_timestamp")
        }
