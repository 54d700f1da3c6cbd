"""Older clients, each in a place of its own below `build/`, made once."""

import fcntl
import os
import runpy
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
HERE = Path(__file__).parent
PYTHON_CLIENT, NODE_CLIENT = "azure-batch==14.2.0", "@azure/batch@10.2.0"


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `build/clients/NAME`; `make` has filled it, now or in an earlier run."""
    folder = ROOT / "build" / "clients" / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".made").exists():
            make(folder)
            (folder / ".made").touch()
    return folder


def run(command: list, seconds: float = 300, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, **options)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}"[-4000:])
    return done.stdout


@pytest.fixture(scope="session")
def old_python() -> Path:
    """An interpreter with azure-batch 14.2."""

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=True, clear=False)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, PYTHON_CLIENT])

    return made_once(f"python-{PYTHON_CLIENT}", make) / "bin" / "python"


@pytest.fixture(scope="session")
def node_client() -> tuple[Path, Path]:
    """Node.js, and a folder with @azure/batch 10."""
    setup = runpy.run_path(str(ROOT / "misc" / "setup" / "azurite"))
    node, npm = setup["system_node"]() or setup["wheel_node"](Path(sys.executable))

    def make(folder: Path) -> None:
        environment = os.environ | {"PATH": f"{Path(node).parent}{os.pathsep}{os.environ['PATH']}"}
        options = ["--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error"]
        run([*npm, "install", "--prefix", folder, *options, NODE_CLIENT], env=environment, cwd=folder)

    return Path(node), made_once("node-azure-batch-10.2.0", make)
