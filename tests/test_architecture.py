"""The walls of the house: who may import whom, and what a start of Snakemake must not load."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
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
            yield from (f"{module}.{alias.name}" for alias in node.names)


@cache
def modules(package):
    """The files of a package by the names of their modules; of a folder by that of its `__init__`."""
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files(package)}


@cache
def known(name, package):
    """The package's modules that one of them imports, wherever in its file, and if only for its types."""
    every = modules(package)
    found = set()
    for imported in imports(every[name]):
        while imported not in every and f"{imported}.__init__" not in every and "." in imported:
            imported = imported.rpartition(".")[0]
        found.add(imported if imported in every else f"{imported}.__init__")
    return sorted(found & set(every) - {name})


def files(folder):
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"{folder} holds no modules"
    return found


def below(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


RULES = [
    ("snakemake/azure", ("snakemake.executors", "azure_batch_emulator", *SHIMS)),
    ("snakemake/executors", ("azure_batch_emulator", "azure.batch", "azure.storage", *SHIMS)),
    ("azure_batch_emulator", ("snakemake", "snakemake_interface_common", *SHIMS)),
    # Only the conformance kit is a client; and that knows nothing of the emulator's inside.
    *((f"azure_batch_emulator/{room}", ("azure.batch",)) for room in (
        "core", "engine", "host", "identity", "management", "nodes", "protocol", "service", "web",
    )),
    *(("azure_batch_emulator/conformance", (f"azure_batch_emulator.{room}",)) for room in (
        "cli", "core", "engine", "host", "identity", "management", "nodes", "protocol", "service", "web",
    )),
]  # fmt: skip
# What the emulator's core may use: nothing that reads a clock, starts a thread, or touches a file or a socket.
CORE_LIBRARIES = (
    "base64", "binascii", "bisect", "collections", "copy", "dataclasses", "datetime", "email.utils", "functools",
    "heapq", "itertools", "json", "lark", "math", "msgspec", "operator", "random", "re", "typing", "urllib.parse",
)  # fmt: skip
# The rooms of each package, folders and files, from top to bottom: who stands further down may not know who stands
# above. A folder stands for what is in it and not named on its own. A file in no room, and a room without files, are
# mistakes.
ROOMS = {
    "azure_batch_emulator": (
        "__main__", "entry", "cli", "conformance", "service", "web", "management", "engine", "nodes", "host",
        "core/timers", "core/restart", "core/snapshot", "core/batch_service", "core/views", "core/placing", "core/jobs",
        "core/pools", "core/nodes", "core/runs", "core/tasks", "core/chance", "core/machine", "core/events",
        "core/instructions", "core/bodies", "core/entities", "core/indexes", "core/ledger", "core/states",
        "core/autoscale", "core/profile", "core/layout", "core",
        "identity", "protocol", "__init__",
    ),
    "snakemake": (
        "scheduling", "executors/azure_batch", "executors",
        # the user's side, and what it packs
        "azure/cli", "azure/arguments", "azure/migration", "azure/check", "azure/sweep", "azure/tail", "azure/preflight", "azure/pool_options", "azure/sources",
        "azure/run_record", "azure/fetched_sources", "azure/last_run",
        # what follows from journals, by which nobody below goes
        "azure/report",
        "azure/batch", "azure/image", "azure/node", "azure/blob",
        # what every room may need
        "azure/report/journal", "azure/settings", "azure/pool_settings", "azure/named_pools", "azure/options", "azure/login", "azure/retry",
        "azure/signals",
        "azure/secrets", "azure/stale_locks", "azure/process", "azure/wire", "azure",
    ),
}  # fmt: skip
EMULATOR = ROOT / "azure_batch_emulator"


@pytest.mark.parametrize("folder, forbidden", RULES, ids=[rule[0] for rule in RULES])
def test_arrows(folder, forbidden):
    broken = [
        f"{p.relative_to(ROOT)}: {n}" for p in files(folder) for n in imports(p) if below(n, *forbidden)
    ]
    assert not broken


def room_of(module, rooms):
    """The number of the room that holds a module (`a.b.c`, below its package): of the one with the longest name."""
    found = [room for room in rooms if below(module, room.replace("/", "."))]
    assert found, f"{module} is in no room"
    return rooms.index(max(found, key=len))


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_know_only_those_below(package):
    rooms = ROOMS[package]
    places = {name: room_of(name.removeprefix(f"{package}."), rooms) for name in modules(package)}
    assert set(places.values()) == set(range(len(rooms))), "a room without files"
    upward = [
        f"{name} ({rooms[place]}) knows {other} ({rooms[places[other]]})"
        for name, place in places.items()
        for other in known(name, package)
        if places[other] < place
    ]
    assert not upward


@pytest.mark.parametrize("package", ROOMS)
def test_no_circles(package):
    graph = {name: known(name, package) for name in modules(package)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"These files import each other: {' <- '.join(error.args[1])}")


def test_the_emulators_core_has_no_io():
    used = {n for p in files("azure_batch_emulator/core") for n in imports(p)}
    assert not [n for n in used if not below(n, "azure_batch_emulator", *CORE_LIBRARIES)]


def test_the_emulators_core_asks_no_clock():
    for path in files("azure_batch_emulator/core"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in ("now", "utcnow", "today"), f"{path.name}:{node.lineno}"


def test_the_emulators_core_has_a_table_of_contents():
    """`core/__init__.py` names every folder and module, in backquotes."""
    text = (EMULATOR / "core" / "__init__.py").read_text(encoding="utf-8")
    names = {
        part
        for p in files(EMULATOR / "core")
        for part in p.relative_to(EMULATOR / "core").with_suffix("").parts
    }
    assert not [name for name in sorted(names - {"__init__"}) if f"`{name}`" not in text]


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
        "scheduling",
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
