"""The walls of the house: who may import whom, and what a start of Snakemake must not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHIMS = ("snakemake_executor_plugin_az_batch", "snakemake_storage_plugin_azblob")


def imports(path):
    """All modules that a file names in an import, at any depth, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = path.relative_to(ROOT).with_suffix("").parts[: -node.level] if node.level else ()
            module = ".".join([*here, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def files(folder):
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"{folder} holds no modules"
    return found


def below(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


RULES = [
    ("snakemake/azure", ("snakemake.executors", "azure_batch_emulator", *SHIMS)),
    ("snakemake/executors", ("azure_batch_emulator", "azure.batch", "azure.storage", *SHIMS)),
    ("azure_batch_emulator", ("snakemake", "snakemake_interface_common", "azure.batch", *SHIMS)),
]
# What the emulator's core may use: nothing that reads a clock, starts a thread, or touches a file or a socket.
CORE_LIBRARIES = (
    "base64", "binascii", "bisect", "collections", "copy", "dataclasses", "datetime", "email.utils", "functools",
    "heapq", "itertools", "lark", "math", "msgspec", "operator", "random", "re", "typing", "urllib.parse",
)  # fmt: skip
# The emulator's rooms, and what else of it each may know.
ROOMS = {
    "core": {"errors", "odata", "profile", "wire"},
    "identity": set(),
    "auth": {"errors", "identity", "wire"},
    "management": {"conditions", "core", "errors", "identity", "odata", "schema", "wire"},
    "runners": {"core"},
    "node_agents": {
        "core", "linked_storage", "mounts", "node_access", "node_logs", "packages", "region", "runners", "transfer",
        "workers", "workspace",
    },
    "modelled": {"core", "profile", "runners"},
    "mounts": {"azurite", "core", "leftovers", "node_access"},
    "engine": {
        "azurite", "clock", "core", "delays", "identity", "linked_storage", "modelled", "mounts", "node_access",
        "node_agents", "node_logs", "packages", "profile", "region", "runners", "workers", "workspace",
    },
    "keeper": {"engine", "location"},
    "control": {"core", "engine", "errors", "request_faults"},
    "web": {
        "auth", "conditions", "control", "core", "engine", "errors", "files", "identity", "management", "node_access",
        "odata", "older", "request_faults", "schema", "wire",
    },
}  # fmt: skip
EMULATOR = ROOT / "azure_batch_emulator"


@pytest.mark.parametrize("folder, forbidden", RULES, ids=[rule[0] for rule in RULES])
def test_arrows(folder, forbidden):
    broken = [
        f"{p.relative_to(ROOT)}: {n}" for p in files(folder) for n in imports(p) if below(n, *forbidden)
    ]
    assert not broken


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_of_the_emulator(room):
    others = {path.stem for path in EMULATOR.iterdir() if path.suffix == ".py" or path.is_dir()} - {room}
    paths = files(f"azure_batch_emulator/{room}") if (EMULATOR / room).is_dir() else [EMULATOR / f"{room}.py"]
    known = {n.split(".")[1] for p in paths for n in imports(p) if n.startswith("azure_batch_emulator.")}
    assert known & others == ROOMS[room] & others


def test_the_emulators_core_has_no_io():
    used = {n for p in files("azure_batch_emulator/core") for n in imports(p)}
    assert not [n for n in used if not below(n, "azure_batch_emulator", *CORE_LIBRARIES)]


def test_the_emulators_core_asks_no_clock():
    for path in files("azure_batch_emulator/core"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in ("now", "utcnow", "today"), f"{path.name}:{node.lineno}"


def test_the_emulators_core_has_a_table_of_contents():
    """`core/__init__.py` names every module, in backquotes."""
    text = (EMULATOR / "core" / "__init__.py").read_text(encoding="utf-8")
    modules = {
        p.stem for p in (EMULATOR / "core").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert not [name for name in sorted(modules - {"__init__"}) if f"`{name}`" not in text]


@pytest.mark.parametrize("shim", SHIMS)
def test_shims_only_re_export(shim):
    tree = ast.parse((ROOT / shim / "__init__.py").read_text(encoding="utf-8"))
    allowed = (ast.ImportFrom, ast.Expr, ast.Assign)
    assert all(isinstance(node, allowed) for node in tree.body)


def test_upstream_is_never_in_the_tree():
    """The repository holds the delta; upstream's files come in at build time."""
    assert {p.name for p in (ROOT / "snakemake").iterdir() if p.name != "__pycache__"} == {
        "azure",
        "executors",
    }
    own = {p.name for p in (ROOT / "snakemake" / "executors").iterdir() if p.name != "__pycache__"}
    assert "azure_batch.py" in own and all(name.startswith("azure_batch") for name in own)


def test_starting_snakemake_loads_no_batch_sdk():
    """Every task starts a Snakemake; what it does not use must not cost it a start."""
    code = (
        "import sys; from snakemake.cli import get_argument_parser; get_argument_parser();"
        "print([m for m in sys.modules if m.split('.')[:2] in (['azure', 'batch'], ['azure', 'identity'])"
        " or m.startswith(('azure.storage', 'azure_batch_emulator'))])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert loaded == "[]"
