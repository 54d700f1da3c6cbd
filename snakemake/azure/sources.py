"""The workflow's sources as one archive: packed and uploaded once per run (`snakemake.azure.node.sources` fetches it).

The archive is deterministic (sorted names, no owners, no times), so that its digest names its content and
nodes that serve several runs can keep it.
"""

import gzip
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snakemake.azure.node.sources import SourcesError, manifest

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount

LARGE_ARCHIVE = 50 * 1024 * 1024
"""Packed size in bytes from which on the user is told that sources hold more than sources."""

LARGE_FILE = 50 * 1024 * 1024
"""Size in bytes from which on a file among the sources is named, however well it is packed."""

LARGEST = 1024 * 1024 * 1024
"""Size in bytes of all files together beyond which the sources are refused: they are packed in memory."""

_NEVER = {".snakemake", ".git"}


@dataclass(frozen=True)
class SourceArchive:
    """A packed archive: its bytes, the SHA-256 (hexadecimal) of them and of what they hold (`manifest`), which files
    were not there to pack, the names of those that were, and the sizes of large ones.
    """

    data: bytes
    sha256: str
    files: str
    missing: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    large: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Survey:
    """What would be packed: files by their names in the archive, names that stand for nothing, sizes of large files."""

    members: Mapping[str, Path]
    missing: tuple[str, ...]
    large: tuple[tuple[str, int], ...]


def survey(files: Iterable[str | os.PathLike[str]], workdir: Path) -> Survey:
    """Looks at `files`, which must lie below `workdir`; reads none of them.

    Links are replaced by what they lead to, which must lie below `workdir`, too. What is no file, or not there (git
    lists files that were deleted, a script's path may hold wildcards), is left out, and named in `missing`.

    Raises
    ------
    SourcesError: a file, or what a link leads to, lies outside the working directory; they are too large together.
    """
    members, missing = _members(files, workdir)
    sizes = sorted(_check_size(members).items())
    large = tuple((name, size) for name, size in sizes if size >= LARGE_FILE)
    return Survey(members, tuple(sorted(missing)), large)


def pack(
    files: Iterable[str | os.PathLike[str]], workdir: Path, more: Mapping[str, bytes] | None = None
) -> SourceArchive:
    """Packs `files` into a gzipped tar with names relative to `workdir`, and what is in `more` under its names.

    Raises
    ------
    SourcesError: as `survey` does; a file cannot be read.
    """
    found = survey(files, workdir)
    buffer = io.BytesIO()
    held: list[tuple[str, bool, str]] = []
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, dereference=True) as tar,
    ):
        for name, path in sorted(found.members.items()):
            try:
                info = tar.gettarinfo(path, arcname=name)
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                info.mtime = 0
                data = path.read_bytes()
                info.size = len(data)
                held.append((name, bool(info.mode & stat.S_IXUSR), hashlib.sha256(data).hexdigest()))
                tar.addfile(info, io.BytesIO(data))
            except OSError as e:
                raise SourcesError(f"Cannot read the workflow's file {path}: {e.strerror}.") from None
        for name, data in sorted((more or {}).items()):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            held.append((name, False, hashlib.sha256(data).hexdigest()))
            tar.addfile(info, io.BytesIO(data))
    packed_data = buffer.getvalue()
    return SourceArchive(
        packed_data,
        hashlib.sha256(packed_data).hexdigest(),
        hashlib.sha256(manifest(held)).hexdigest(),
        found.missing,
        frozenset(found.members),
        found.large,
    )


def _members(files: Iterable[str | os.PathLike[str]], workdir: Path) -> tuple[dict[str, Path], list[str]]:
    """Names in the archive and the files they stand for; and the names that stand for nothing."""
    members, links, missing = {}, [], []
    top = workdir.resolve()
    for path_or_name in files:
        file = os.fspath(path_or_name)
        given = file if (workdir / file).exists() else _unquoted(file)
        name = os.path.normpath(os.path.relpath(os.path.join(workdir, given), workdir))  # noqa: PTH118
        parts = Path(name).parts
        if _NEVER.intersection(parts):
            continue
        if parts[:1] == ("..",):
            raise SourcesError(
                f"The workflow's file {file} lies outside the working directory {workdir}, so that it cannot be "
                "sent to the nodes: run snakemake from a directory that holds all files of the workflow, or set "
                "--directory (or the workflow's own workdir) to one."
            )
        path = workdir / name
        if path.is_file():
            _check_link(name, path, top)
            members[name] = path
        elif path.is_symlink() and path.is_dir():
            links.append(name)
        elif not path.is_dir():
            missing.append(name)
    for link in links:
        # A linked folder of the workflow holds the same sources under another name.
        target = os.path.relpath((workdir / link).resolve(), workdir.resolve())
        below = [n for n in members if Path(n).is_relative_to(target)]
        members |= {str(Path(link) / Path(n).relative_to(target)): members[n] for n in below}
        if not below:
            missing.append(link)
    return members, missing


def _check_link(name: str, path: Path, top: Path) -> None:
    """A link, or a folder on the way that is one, may not lead to a file that nobody meant to send."""
    target = path.resolve()
    if not target.is_relative_to(top):
        raise SourcesError(
            f"The workflow's file {name} is a link to {target}, outside the working directory {top}, which is not "
            "sent to the nodes: put a copy in its place, take it out of git, or set --directory to a "
            "directory that holds both."
        )


def _check_size(members: dict[str, Path]) -> dict[str, int]:
    """The size of each file in bytes; SourcesError where they are too large together."""
    sizes = {name: path.stat().st_size for name, path in members.items()}
    if sum(sizes.values()) > LARGEST:
        largest = max(sizes, key=lambda name: sizes[name])
        raise SourcesError(
            f"The workflow's sources are {sum(sizes.values()) / 1e9:.1f} GB, the largest file {largest} with "
            f"{sizes[largest] / 1e9:.1f} GB: sources are the files of the workflow's directory that git tracks, so "
            "keep data out of the repository and give it to rules as input files."
        )
    return sizes


def _unquoted(name: str) -> str:
    """The file's name, if this is how `git ls-files` prints one that is not plain ASCII."""
    if len(name) < 2 or name[0] != '"' or name[-1] != '"':
        return name
    try:
        return os.fsdecode(name[1:-1].encode().decode("unicode_escape").encode("latin-1"))
    except UnicodeError:
        return name


class BlobSources:
    """The archive's place in blob storage: below the workflow's prefix (`CONTAINER[/PATH]`), named by the run."""

    def __init__(self, account: "BlobAccount", prefix: str, run_id: str, archive: SourceArchive):
        self.account = account
        self.archive = archive
        self.sha256 = archive.sha256
        self.name = f"{prefix}/.snakemake-azbatch/{run_id}/sources.tar.gz"

    def upload(self) -> None:
        """Stores the archive; makes the container if it is not there. Raises BlobError."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        from snakemake.azure.blob.errors import error_code, explained
        from snakemake.azure.blob.service import connect

        container, _, blob = self.name.partition("/")
        with connect(self.account) as service, explained(self.account, self.name):
            client = service.get_blob_client(container, blob)
            try:
                client.upload_blob(self.archive.data, overwrite=True)
            except ResourceNotFoundError as e:
                if error_code(e) != "ContainerNotFound":
                    raise
                with suppress(ResourceExistsError):
                    service.create_container(container)
                client.upload_blob(self.archive.data, overwrite=True)

    def delete(self) -> bool:
        """Removes the archive; False if there is none. Raises BlobError."""
        return delete_blob(self.account, self.name)


def delete_blob(account: "BlobAccount", name: str) -> bool:
    """Removes the blob `CONTAINER/BLOB`; False if there is none. Raises BlobError."""
    from azure.core.exceptions import ResourceNotFoundError

    from snakemake.azure.blob.errors import explained
    from snakemake.azure.blob.service import connect

    container, _, blob = name.partition("/")
    with connect(account) as service, explained(account, name):
        try:
            service.get_blob_client(container, blob).delete_blob()
        except ResourceNotFoundError:
            return False
        return True
