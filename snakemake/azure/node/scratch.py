"""A task's own place for what its job writes beside its output: temporary files, a home directory, caches.

Programs write to `TMPDIR`, `HOME` and below. In a container both lie in its own layer, which is on the node's OS disk:
small, shared by all tasks, and full some day. So they lead below the task's working directory, which is on the node's
temporary disk and goes with the task (https://learn.microsoft.com/azure/batch/files-and-directories). What an image has
in its home, such as `.condarc` or `.Rprofile`, is found in the new one by links. A variable is left alone where `KEEP`
names it, which an image can set for itself and a run does for the variables that --envvars passes.

A task's directory has a long name, and the name of a socket may have 107 bytes
(https://man7.org/linux/man-pages/man7/unix.7.html): programs that make one in `TMPDIR`, such as Python's
multiprocessing, would fail. So the variables go through a short link in the directory that the node's tasks share.
"""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.azure.node.shared import private_folder

BELOW = Path(".snakemake") / "scratch"
"""Below the working directory, in the folder that Snakemake keeps out of shadow directories."""

KEEP = "SNAKEMAKE_AZ_BATCH_KEEP"
"""The variable with the names, separated by commas, of variables that stay as they are."""

KEEP_FAILED = "SNAKEMAKE_AZ_BATCH_KEEP_FAILED"
"""The variable that is set where a task that fails leaves all that it has written, for whoever looks at its node."""

PLACE = "SNAKEMAKE_AZ_BATCH_SCRATCH"
"""The variable that says where the scratch directory is, once it is there."""

LINKS = "snakemake-tmp"
"""Name of the folder of links, below the directory that the node's tasks share."""

LONG = 64
"""Bytes of a path beyond which it goes through a link."""

CACHES = (
    "APPTAINER_CACHEDIR",
    "APPTAINER_TMPDIR",
    "CONDA_PKGS_DIRS",
    "HF_HOME",
    "MPLCONFIGDIR",
    "NUMBA_CACHE_DIR",
    "PIP_CACHE_DIR",
    "R_USER_CACHE_DIR",
    "TORCH_HOME",
    "UV_CACHE_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
)
"""Variables for which programs have a default below `HOME`, or, in place of one that leads to /tmp, should have."""

PLACES = frozenset(("HOME", "TMPDIR", "TMP", "TEMP", "XDG_CACHE_HOME", *CACHES))

MOST_LINKS = 200


@dataclass(frozen=True)
class Scratch:
    """`folder` is the scratch directory, and `path` the name that it goes by, which may be a link."""

    folder: Path
    path: Path

    @classmethod
    def make(cls, workdir: Path, shared: Path | None) -> "Scratch":
        """Makes the directories; raises OSError."""
        folder = workdir / BELOW
        for part in ("tmp", "home/.cache"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        links = private_folder(shared, LINKS) if shared and len(os.fsencode(folder)) > LONG else None
        if links is None:
            return cls(folder, folder)
        path = links / os.urandom(4).hex()
        path.symlink_to(folder)
        return cls(folder, path)

    def variables(self, environ: Mapping[str, str]) -> dict[str, str | None]:
        """Variables to set, or, with None, to remove."""
        home, tmp = str(self.path / "home"), str(self.path / "tmp")
        changes: dict[str, str | None] = {
            "HOME": home,
            "XDG_CACHE_HOME": f"{home}/.cache",
            **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), tmp),
            **{name: None for name in CACHES if _is_temporary(environ.get(name, ""))},
        }
        kept = {name.strip() for name in environ.get(KEEP, "").split(",")}
        return {name: value for name, value in changes.items() if name not in kept} | {PLACE: str(self.path)}

    def take_over(self, home: str) -> None:
        """Links what lies in the home directory `home`, and in its .cache, into the new one. What can't be linked is
        left out."""
        old = Path(home)
        if not home or old == Path("/") or self.folder.is_relative_to(old):
            return
        for source, target in (
            (old, self.folder / "home"),
            (old / ".cache", self.folder / "home" / ".cache"),
        ):
            with suppress(OSError):
                for name in os.listdir(source)[:MOST_LINKS]:  # noqa: PTH208
                    if name != ".cache":
                        with suppress(OSError):
                            (target / name).symlink_to(source / name)

    def remove(self) -> None:
        """With all that is in it, whatever its permissions. What can't be removed goes with the task's directory."""
        with suppress(OSError):
            if self.path != self.folder:
                self.path.unlink()
        _remove(self.folder)


def prepare(workdir: Path, shared: Path | None, environ: Any = os.environ) -> Scratch:
    """Makes the scratch directory and sets the variables in `environ`; a directory that is there already, and what has
    been set since, stays. Raises OSError."""
    if place := environ.get(PLACE):
        return Scratch(workdir / BELOW, Path(place))
    scratch = Scratch.make(workdir, shared)
    scratch.take_over(environ.get("HOME", ""))
    for name, value in scratch.variables(environ).items():
        if value is None:
            del environ[name]
        else:
            environ[name] = value
    return scratch


def _is_temporary(path: str) -> bool:
    return path.startswith(("/tmp/", "/var/tmp/"))


def _remove(folder: Path) -> None:
    if sys.version_info >= (3, 12):
        shutil.rmtree(folder, onexc=_once_more)
    else:
        shutil.rmtree(folder, onerror=_once_more)


def _once_more(function: Callable[..., Any], path: str, error: Any) -> None:
    """A folder that may not be written to keeps what it has, as Go's cache of modules does."""
    with suppress(OSError):
        parent = os.path.dirname(path)  # noqa: PTH120
        for folder in (parent, path):
            if stat.S_ISDIR(os.lstat(folder).st_mode):
                os.chmod(folder, stat.S_IRWXU)  # noqa: PTH101
        if function in (os.scandir, os.open, os.lstat):
            shutil.rmtree(path, ignore_errors=True)
        else:
            function(path)
