"""Application packages on disk: `NAME/VERSION.zip` in a directory, unpacked on nodes.

`NAME/application.json` may give `displayName` and `defaultVersion`. Applications are read once, at the start.
https://learn.microsoft.com/azure/batch/batch-application-packages
"""

import json
import re
import shutil
import threading
import uuid
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from .core.applications import Application, find
from .core.entities import Failed
from .wire import is_id

_VERSION = re.compile(r"[A-Za-z0-9_.-]{1,64}")
PREFIX = "AZ_BATCH_APP_PACKAGE"
# https://learn.microsoft.com/azure/batch/batch-quota-limit
MAX_APPLICATIONS, MAX_VERSIONS = 20, 40


class PackageError(ValueError):
    """A directory of applications that can't be used; the message says which part and why."""


class PackageStore:
    """The packages below a directory; without one, there are none."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._lock = threading.Lock()
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

    def install(self, references: Iterable[dict], root: Path, where: str) -> dict[str, str] | Failed:
        """Unpacks packages below a node's root, unless they are there, and returns the variables that name their
        directories; or says which can't be had. `where` is `pool` or `task`."""
        variables: dict[str, str] = {}
        for reference in references:
            known = find(self.applications, reference)
            if known is None:
                return _failed(reference, where, "There is no such application, version or default version.")
            application, version = known
            target = root / "applications" / application.id.lower() / version
            try:
                if not target.exists():
                    with self._lock:
                        self._unpack(application.id, version, target)
            except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
                return _failed(reference, where, f"The package can't be unpacked: {error}")
            variables[variable(application.id, version)] = str(target)
            if version == application.default:
                variables[variable(application.id)] = str(target)
        return variables

    def _unpack(self, name: str, version: str, target: Path) -> None:
        if target.exists():
            return
        assert self._directory is not None
        part = target.parent / f".{uuid.uuid4().hex}"
        try:
            with zipfile.ZipFile(self._directory / name / f"{version}.zip") as archive:
                archive.extractall(part)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def variable(name: str, version: str | None = None) -> str:
    """The variable with a package's directory, as on Linux: lower case, with underscores."""
    words = f"{name}_{version}" if version else name
    return f"{PREFIX}_{re.sub(r'[.#-]', '_', words.lower())}"


def _read(path: Path) -> Application:
    if not is_id(path.name):
        raise PackageError(f"{path}: an application has 1 to 64 letters, digits, hyphens and underscores.")
    versions = tuple(sorted(file.stem for file in path.glob("*.zip")))
    if len(versions) > MAX_VERSIONS:
        raise PackageError(f"{path} has {len(versions)} versions; an application has at most {MAX_VERSIONS}.")
    for version in versions:
        if not _VERSION.fullmatch(version):
            raise PackageError(
                f"{path / version}.zip: a version has 1 to 64 letters, digits, periods, hyphens and underscores."
            )
    settings = _settings(path / "application.json")
    default = settings.get("defaultVersion")
    if default is not None and default not in versions:
        raise PackageError(f"{path / 'application.json'}: there is no version {default!r}.")
    return Application(path.name, settings.get("displayName", path.name), versions, default)


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
    name = f"{reference['applicationId']}:{reference.get('version', '')}".rstrip(":")
    return Failed(
        "UserError",
        "ApplicationPackageError",
        f"One or more application packages specified for the {where} are invalid",
        (("ApplicationPackageReference", name), ("Message", message)),
    )
