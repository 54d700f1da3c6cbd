"""Application packages: `NAME/VERSION.zip` in a directory, or blobs of the linked storage account, unpacked on nodes.

In the directory `NAME/application.json` may give `displayName` and `defaultVersion`; it is read once, at the start.
https://learn.microsoft.com/azure/batch/batch-application-packages
"""

import json
import re
import shutil
import threading
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from ..core.bodies.applications import (
    MAX_APPLICATIONS,
    MAX_PACKAGES,
    VERSION,
    Application,
    Applications,
    Package,
    find,
)
from ..core.bodies.applications import name as reference_name
from ..core.entities import Failed
from ..protocol.wire import is_id
from .linked_storage import LinkedStorage

PREFIX = "AZ_BATCH_APP_PACKAGE"


class PackageError(ValueError):
    """A directory of applications that can't be used; the message says which part and why."""


class PackageStore:
    """The packages below a directory; without one, there are none."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self.applications: dict[str, Application] = {}

    def load(self) -> None:
        """Reads what there is; raises PackageError."""
        if self._directory is None:
            return
        try:
            found = sorted(path for path in self._directory.iterdir() if path.is_dir())
        except OSError as error:
            raise PackageError(
                f"The directory {self._directory} can't be read ({error.strerror}); choose another with --applications."
            ) from None
        if len(found) > MAX_APPLICATIONS:
            raise PackageError(
                f"{self._directory} has {len(found)} applications; an account has at most {MAX_APPLICATIONS}."
            )
        for path in found:
            application = _read(path)
            if self.applications.setdefault(application.id.lower(), application) is not application:
                raise PackageError(f"The application {application.id!r} is there twice, in other letters.")

    def archive(self, application: str, version: str) -> Path:
        assert self._directory is not None
        return self._directory / application / f"{version}.zip"


class Installer:
    """Unpacks packages on nodes: those of the directory, and those that were uploaded to the linked storage account.
    `look` gives the account's applications as they are now."""

    def __init__(self, store: PackageStore, storage: LinkedStorage, look: Callable[[], Applications]) -> None:
        self._store, self._storage, self._look = store, storage, look
        self._lock = threading.Lock()

    def install(self, references: Iterable[dict], root: Path, where: str) -> dict[str, str] | Failed:
        """Unpacks packages below a node's root, unless they are there, and returns the variables that name their
        directories; or says which can't be had. `where` is `pool` or `task`."""
        variables: dict[str, str] = {}
        for reference in references:
            known = find(self._look(), reference)
            if known is None:
                return _failed(reference, where, "There is no such application, version or default version.")
            application, package = known
            target = root / "applications" / _directory(application, package)
            try:
                if not target.exists():
                    with self._lock:
                        self._install(application, package, target)
            except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
                return _failed(reference, where, f"The package can't be unpacked: {error}")
            names = variables_of(application.id, package.version)
            if package.version == application.default:
                names += variables_of(application.id)
            variables |= dict.fromkeys(names, str(target))
        return variables

    def _install(self, application: Application, package: Package, target: Path) -> None:
        if target.exists():
            return
        if package.container is None:
            _unpack(self._store.archive(application.id, package.version), target)
            return
        download = target.parent / f".{uuid.uuid4().hex}.zip"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._storage.save(package.container, package.version, download)
            _unpack(download, target)
        finally:
            download.unlink(missing_ok=True)


def _unpack(file: Path, target: Path) -> None:
    """All of it or nothing."""
    part = target.parent / f".{uuid.uuid4().hex}"
    try:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(part)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _directory(application: Application, package: Package) -> str:
    """As recorded: the id in lower case, the version, and the minute in which the package was activated."""
    assert package.activated is not None
    return f"{application.id.lower()}{package.version}{package.activated:%Y-%m-%d-%H-%M}"


def variables_of(name: str, version: str | None = None) -> list[str]:
    """The variables with a package's directory on Linux: with underscores, as written and in lower case."""
    words = re.sub(r"[.#-]", "_", f"{name}_{version}" if version else name)
    return [f"{PREFIX}_{spelt}" for spelt in dict.fromkeys((words, words.lower()))]


def _read(path: Path) -> Application:
    if not is_id(path.name):
        raise PackageError(f"{path}: an application has 1 to 64 letters, digits, hyphens and underscores.")
    versions = tuple(sorted(file.stem for file in path.glob("*.zip")))
    if len(versions) > MAX_PACKAGES:
        raise PackageError(f"{path} has {len(versions)} versions; an application has at most {MAX_PACKAGES}.")
    for version in versions:
        if not VERSION.fullmatch(version):
            raise PackageError(
                f"{path / version}.zip: a version has 1 to 64 letters, digits, periods, hyphens and underscores."
            )
    settings = _settings(path / "application.json")
    default = settings.get("defaultVersion")
    if default is not None and default not in versions:
        raise PackageError(f"{path / 'application.json'}: there is no version {default!r}.")
    packages = tuple(_package(path / f"{version}.zip") for version in versions)
    modified = max((package.modified for package in packages), default=_modified(path))
    return Application(path.name, modified, _etag(path), settings.get("displayName"), packages, default)


def _package(file: Path) -> Package:
    modified = _modified(file)
    return Package(file.stem, modified, _etag(file), format="zip", activated=modified)


def _modified(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def _etag(file: Path) -> str:
    return f"0x{file.stat().st_mtime_ns:X}"


def _settings(file: Path) -> dict[str, str]:
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise PackageError(f"{file} can't be read: {error}.") from None
    if not isinstance(settings, dict) or not all(isinstance(value, str) for value in settings.values()):
        raise PackageError(f"{file} is not a JSON object of texts.")
    if unknown := sorted(set(settings) - {"displayName", "defaultVersion"}):
        raise PackageError(f"{file} has the unknown entry {unknown[0]!r}.")
    return settings


def _failed(reference: dict, where: str, message: str) -> Failed:
    """As recorded for nodes, whose error has these two details."""
    return Failed(
        "UserError",
        "ApplicationPackageError",
        f"One or more application packages specified for the {where} are invalid",
        (("ApplicationPackageReference", reference_name(reference)), ("Message", message)),
    )
