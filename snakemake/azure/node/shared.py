"""What the tasks of a node share: folders of this user's alone, and locks.

Other users of the node can write to `AZ_BATCH_NODE_SHARED_DIR`
(https://learn.microsoft.com/azure/batch/files-and-directories), so a folder in there must be this user's, and closed to
others.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def private_folder(shared: Path, name: str) -> Path | None:
    """The folder of this user alone, `NAME-UID` in `shared`, made if need be; None if that name is something else."""
    shared.mkdir(parents=True, exist_ok=True)
    home = shared / f"{name}-{os.geteuid()}"
    with suppress(FileExistsError):
        home.mkdir(mode=0o700)
    found = home.stat(follow_symlinks=False)
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return home if mine else None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file `path`; the system frees it however the process ends."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
