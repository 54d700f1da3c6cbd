"""Starts Snakemake inside a task without what a task never uses.

More than half of the time that `import snakemake.cli` takes goes into an SQL toolkit, for keeping the provenance of
finished jobs in a database, and into what renders HTML reports. Both are the business of the main process: a task is
told to keep no records (`--drop-metadata`), and writes no report. So, in the task's process alone,

- the registry of report plugins is empty;
- the record class of `snakemake.persistence` is built on a plain base class in place of SQLModel's, and the database
  backend of that package is a class that says so when it is used.

Each registry of plugins looks through all installed packages by itself; here they share one look. And the modules,
which stay until the end, are left out of garbage collections.

The stand-ins for `sqlmodel` and `sqlalchemy` exist only while `snakemake.persistence` is imported. A rule whose Python
code runs in the task's process gets the real ones.
"""

import gc
import hashlib
import os
import pkgutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any


class Record:
    """What `MetadataRecord` needs of SQLModel: attributes with defaults, to and from a mapping."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__()

    def __init__(self, **values: Any) -> None:
        for name in type(self).__annotations__:
            default = getattr(type(self), name, None)
            setattr(self, name, values.get(name, default() if isinstance(default, type) else default))

    @classmethod
    def model_validate(cls, values: Any) -> "Record":
        return cls(**dict(values))

    def model_dump(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).__annotations__}


class NoDatabase:
    """In place of the persistence backend that keeps records in a database."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "A task on Azure Batch keeps no records in a database; the main process does."
        )


def _field(default: Any = None, default_factory: Any = None, **_: Any) -> Any:
    return default_factory or default


def _module(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(content)
    return module


@contextmanager
def _stand_ins(*modules: ModuleType) -> Iterator[None]:
    """Puts modules in place of ones that are not loaded, and takes them away again."""
    placed = [m for m in modules if m.__name__ not in sys.modules]
    sys.modules.update({m.__name__: m for m in placed})
    try:
        yield
    finally:
        for module in placed:
            del sys.modules[module.__name__]


def one_attempt() -> None:
    """A task is one attempt of its job: the main process counts a rule's `retries` and submits the next one, with
    the resources that belong to it. Snakemake applies the directive in the task as well, where `--retries 0` does
    not reach it."""
    from snakemake.rules import Rule

    Rule.restart_times = property(lambda rule: 0, lambda rule, value: None)


def own_targets() -> None:
    """The job to run is written by `arguments.target_arguments`, whatever its wildcards' values."""
    from snakemake import cli
    from snakemake.azure.node.arguments import read_targets
    from snakemake.target_jobs import TargetSpec

    cli.parse_target_jobs_cli_args = lambda entries: [TargetSpec(*pair) for pair in read_targets(entries)]


def own_files() -> None:
    """A file that lies in the task has the size and the checksum that it has there. Snakemake asks storage for them,
    where the output of the job, which `ensure(...)` is about, is not yet."""
    from snakemake.io import _IOFile

    stored_size, stored_checksum = _IOFile.size, _IOFile.checksum

    async def is_here(file: Any) -> bool:
        return file.is_storage and await file.exists_local() and not os.path.isdir(file.file)  # noqa: PTH112

    async def size(file: Any) -> int:
        return await (file.size_local() if await is_here(file) else stored_size(file))

    async def checksum(file: Any, threshold: Any = None, force: bool = False, algorithm: Any = None) -> Any:
        if not force or not await is_here(file):
            return await stored_checksum(file, threshold, force, algorithm)
        with open(file.file, "rb") as data:  # noqa: PTH123
            digest = hashlib.file_digest(data, algorithm or hashlib.sha256)
        return f"{digest.name}:{digest.hexdigest()}"

    _IOFile.size, _IOFile.checksum = size, checksum


def own_jobs(expected: Mapping[str, str]) -> None:
    """A job's input files are compared with what the client has counted, before the job begins; and threads that the
    workflow has started are told from those of the job."""
    from snakemake.azure.node import exit
    from snakemake.azure.node.inputs import compare, input_names
    from snakemake.jobs import Job
    from snakemake.workflow import Workflow

    prepare, build_dag = Job.prepare, Workflow._build_dag

    def noted(workflow: Any, *args: Any, **options: Any) -> Any:
        # The workflow has been parsed: what runs now besides this thread was started by it.
        exit.NOT_WAITED_FOR.update(set(threading.enumerate()) - {threading.main_thread()})
        return build_dag(workflow, *args, **options)

    Workflow._build_dag = noted

    async def compared(job: Any) -> None:
        compare(expected, job.rule.name, job.wildcards_dict, input_names(job.input))
        await prepare(job)

    Job.prepare = compared


@cache
def _installed(path: tuple[str, ...]) -> tuple[pkgutil.ModuleInfo, ...]:
    """The top-level modules on `path`, which is `sys.path`."""
    return tuple(pkgutil.iter_modules())


@contextmanager
def loading() -> Iterator[None]:
    """For imports: nothing is collected meanwhile, and what is loaded at the end is never looked at again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def skip_unused_imports() -> None:
    """To be called before Snakemake's own modules are imported; later it changes nothing."""
    from snakemake_interface_common import plugin_registry
    from snakemake_interface_report_plugins.registry import ReportPluginRegistry

    if "snakemake.persistence" in sys.modules:
        return
    once = _module("pkgutil", iter_modules=lambda: _installed(tuple(sys.path)))
    plugin_registry.pkgutil = once
    ReportPluginRegistry.collect_plugins = lambda self: setattr(self, "plugins", {})
    with _stand_ins(
        _module("sqlmodel", SQLModel=Record, Field=_field),
        _module("sqlalchemy", Column=lambda *_: None, JSON=None),
    ):
        import snakemake.persistence  # noqa: F401
    database = "snakemake.persistence.db"
    sys.modules[database] = _module(database, DbPersistence=NoDatabase)
