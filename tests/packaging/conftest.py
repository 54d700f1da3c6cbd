"""The tree as a clean clone has it, wheels built from it, and the upstream release it is pinned to."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = next(r for r in PYPROJECT["build-system"]["requires"] if r.startswith("snakemake==")).partition("==")[2]
VERSION = f"{PIN}+azbatch.{PYPROJECT['tool']['azbatch']['revision']}"
OURS = ("azure_batch_emulator", "snakemake_executor_plugin_az_batch", "snakemake_storage_plugin_azblob")


def run(*command, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
    # The environment of the tests must not reach into the builds.
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    environment["PIP_NO_COMPILE"] = "1"  # half the time of the build environments, which are used once
    result = subprocess.run(
        list(map(str, command)),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=240,
        **{"env": environment, **options},
    )
    assert not check or result.returncode == 0, result.stdout
    return result


def clean_tree(target: Path) -> Path:
    """The files of this tree that git knows or would take in, as they are on disk."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (source := ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


PIP_WHEEL = ("-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps")


@dataclass(frozen=True)
class Wheel:
    path: Path

    def files(self) -> dict[str, bytes]:
        with zipfile.ZipFile(self.path) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}

    def info(self, name: str) -> bytes:
        """A file of the .dist-info folder."""
        return next(v for k, v in self.files().items() if re.fullmatch(rf"[^/]+\.dist-info/{name}", k))

    def metadata(self) -> Message:
        return message_from_bytes(self.info("METADATA"))


@pytest.fixture(scope="session")
def packed_tree(tmp_path_factory) -> Path:
    """The files that `wheel` is built from."""
    return clean_tree(tmp_path_factory.mktemp("packed") / "tree")


@pytest.fixture(scope="session")
def wheel(packed_tree, tmp_path_factory) -> Wheel:
    target = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable, *PIP_WHEEL, "-w", target, ".", cwd=packed_tree
    )  # with build isolation, as a user does it
    (path,) = target.iterdir()
    return Wheel(path)


@pytest.fixture(scope="session")
def emulator_wheel(packed_tree, tmp_path_factory) -> Wheel:
    """The emulator's own distribution."""
    target = tmp_path_factory.mktemp("emulator-wheel")
    run(sys.executable, *PIP_WHEEL, "-w", target, "./misc/emulator", cwd=packed_tree)
    (path,) = target.iterdir()
    return Wheel(path)


@pytest.fixture(scope="session")
def upstream(tmp_path_factory) -> Wheel:
    """The pinned release, fetched from the package index."""
    target = tmp_path_factory.mktemp("upstream")
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    run(*command, "--only-binary", ":all:", "-d", target, f"snakemake=={PIN}")
    (path,) = target.iterdir()
    return Wheel(path)


@pytest.fixture(scope="session")
def build_python(upstream, tmp_path_factory) -> Path:
    """The interpreter of a build environment with what a build reads of the pinned release, for quick builds."""
    environment = tmp_path_factory.mktemp("build") / "env"
    run(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    backend = next(r for r in PYPROJECT["build-system"]["requires"] if r.startswith("setuptools"))
    run(
        python,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        backend,
        upstream.path,
    )
    return python


@pytest.fixture
def tree(tmp_path) -> Path:
    """A copy of the tree to change."""
    return clean_tree(tmp_path / "tree")
