"""What a workflow looks at while it is parsed and its DAG is built: files that it opens, folders that it lists, modules
that it imports.

Each task parses the workflow again. What it finds then has to be what the client has found, or the task fails, or,
worse, makes something else. Files of the working directory can be sent with the sources; the rest is named before
anything is made. Python's audit events tell of all opens and listings, whichever library makes them
(https://docs.python.org/3/library/audit_events.html).
"""

import dis
import os
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

NOT_OPENED_FOR_READING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

_OF_THE_SYSTEM = ("/dev", "/etc", "/lib", "/lib64", "/opt", "/proc", "/run", "/sys", "/tmp", "/usr", "/var")


@dataclass
class Looks:
    """What was opened for reading and what was listed, as absolute paths, while `watching`; and which packages were
    loaded, each with the file that imported it, unless a `try` or a `with` stands around the import.
    """

    watching: bool = False
    opened: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    imported: set[tuple[str, str]] = field(default_factory=set)

    def event(self, name: str, arguments: Sequence[Any]) -> None:
        if not self.watching or name not in ("open", "os.listdir", "os.scandir", "import"):
            return
        if name == "import":
            self._import(str(arguments[0]), sys._getframe(1))
            return
        path = arguments[0]
        if not isinstance(path, str | os.PathLike):
            return  # a file descriptor, or bytes
        if name != "open":
            self.listed.add(os.path.abspath(path))  # noqa: PTH100
        elif not (arguments[2] or 0) & NOT_OPENED_FOR_READING:
            self.opened.add(os.path.abspath(path))  # noqa: PTH100

    def _import(self, module: str, frame: FrameType | None) -> None:
        while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
            frame = frame.f_back
        if frame is not None and not _is_guarded(frame):
            self.imported.add((module.partition(".")[0], frame.f_code.co_filename))


def _is_guarded(frame: FrameType) -> bool:
    """Whether the frame handles exceptions of the line that it is at."""
    entries = getattr(dis.Bytecode(frame.f_code), "exception_entries", ())
    return any(entry.start <= frame.f_lasti < entry.end for entry in entries)


_looks = Looks()


def watch() -> None:
    """Watches from now on, until `stop`."""
    if not _looks.watching:
        _looks.watching = True
        sys.addaudithook(_looks.event)


@contextmanager
def aside() -> Iterator[None]:
    """What happens meanwhile is not the workflow's doing."""
    watching, _looks.watching = _looks.watching, False
    try:
        yield
    finally:
        _looks.watching = watching


def stop() -> Looks:
    """Ends the watch and returns what was seen. A hook cannot be removed; it does nothing from now on."""
    _looks.watching = False
    return _looks


def files_below(paths: Iterable[str], workdir: Path, leave_out: Iterable[Path] = ()) -> list[str]:
    """Those of `paths` that are files of the workflow's: below `workdir`, and neither in Snakemake's own folder, nor in
    one of `leave_out`, nor in a Python environment. Relative to `workdir`, in order.
    """
    root = workdir.resolve()
    others = [root / ".snakemake", root / ".git", *(root / path for path in leave_out), *_environments()]
    found = set()
    for text in paths:
        path = Path(text)
        if not path.is_relative_to(root) or any(path.is_relative_to(other) for other in others):
            continue
        if path.is_file() and "__pycache__" not in path.parts:
            found.add(path.relative_to(root).as_posix())
    return sorted(found)


def imported_modules() -> list[str]:
    """The files of all modules that are loaded."""
    return [file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))]


def modules_beside(snakefiles: Iterable[str]) -> list[str]:
    """Modules in the folders of these files: `run:` may import them when it runs."""
    folders = {Path(file).resolve().parent for file in snakefiles}
    return [str(path) for folder in folders if folder.is_dir() for path in folder.glob("*.py")]


def files_elsewhere(paths: Iterable[str], workdir: Path) -> list[str]:
    """Those of `paths` that look like the user's own files, outside of `workdir`, which tasks do not have."""
    others = [*map(Path, _OF_THE_SYSTEM), *_environments(), workdir.resolve()]
    return sorted(
        text
        for text in paths
        if Path(text).is_file()
        and not any(Path(text).is_relative_to(other) for other in others)
        and not any(part.startswith(".") for part in Path(text).parts)
    )


def folders_not_sent(paths: Iterable[str], workdir: Path, sent: Container[str]) -> list[str]:
    """Folders among `paths`, below `workdir` and relative to it, that hold files which are not among those `sent`."""
    root = workdir.resolve()
    import_paths = {Path(path).resolve() for path in sys.path if path}
    found = []
    for text in sorted(paths):
        path = Path(text)
        if path == root or not path.is_relative_to(root) or path in import_paths or not path.is_dir():
            continue
        name = path.relative_to(root)
        if name.parts[0].startswith(".") or any(path.is_relative_to(e) for e in _environments()):
            continue
        inside = [child for child in path.iterdir() if child.is_file()]
        if any(child.relative_to(root).as_posix() not in sent for child in inside):
            found.append(name.as_posix())
    return found


def _environments() -> list[Path]:
    """Where Python and its packages lie, this one among them."""
    package = Path(__file__).absolute().parents[2]
    return [Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), package, package.resolve()]
