"""Containers of Azurite as directories of nodes: a process of rclone serves each through FUSE.

rclone gets a SAS, which it reads from its environment: one made of the account's key or by a managed identity, or the
one given. Files are written to a cache first and uploaded when they have been closed.
https://learn.microsoft.com/azure/batch/virtual-file-mount
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from ..core.bodies.mounts import BLOBS, Mountable
from ..core.entities import Failed
from ..host.azurite import StorageAccount
from ..host.orphans import MARK
from .access import BUNDLE, NodeAccess

KEY_LIFETIME = timedelta(days=3650)  # of the SAS that stands for a key
IDENTITY_LIFETIME = timedelta(days=7) - timedelta(minutes=5)  # a delegated SAS lasts no longer
MOUNT_SECONDS = 30
SETTLE_SECONDS = 5.0
END_SECONDS = 5.0
_TABLE = Path("/proc/self/mountinfo")
_DEVICE = Path("/dev/fuse")


def mountable(storage: Sequence[StorageAccount]) -> Mountable:
    """What can be mounted on this machine; `storage` are the accounts in Azurite, if it runs."""
    if not storage:
        return Mountable()
    if shutil.which("rclone") is None:
        missing = "No mount program is here: install rclone (Debian: apt-get install rclone fuse3)."
    elif _unmounter() is None:
        missing = "There is no fusermount3: install FUSE (Debian: apt-get install fuse3)."
    elif not os.access(_DEVICE, os.R_OK | os.W_OK):
        missing = f"The emulator can't open {_DEVICE}, without which no file system can be mounted."
    else:
        missing = ""
    return Mountable(tuple(each.name for each in storage), storage[0].url.startswith("https:"), missing)


@dataclass
class _Mount:
    path: Path
    scratch: Path
    process: subprocess.Popen

    @property
    def pending(self) -> bool:
        """Whether something written has still to be uploaded."""
        # (Not rglob, which breaks where a directory goes meanwhile.)
        records = os.walk(self.scratch / "vfsMeta")
        return any(_dirty(Path(folder, name)) for folder, _, names in records for name in names)


class MountError(Exception):
    """Why a container can't be mounted, without secrets."""


class Mounts:
    """Of all nodes of an emulator whose files lie in `location`."""

    def __init__(self, location: Path, storage: Sequence[StorageAccount], access: NodeAccess) -> None:
        self._location, self._storage, self._access = location, tuple(storage), access
        self._lock = threading.Lock()
        self._mounts: dict[str, list[_Mount]] = {}
        self._closed = False

    def sweep(self) -> None:
        """Before the first mount: takes away what an emulator that was killed has left mounted."""
        unmount_below(self._location)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def mount(self, node: str, root: Path, configurations: Iterable[Mapping]) -> Failed | None:
        """Mounts all that a pool's mountConfiguration has, for a node that boots."""
        for number, configuration in enumerate(configurations):
            system = configuration[BLOBS]
            name = system["relativeMountPath"]
            log = root / "fsmounts" / f"blobfuse-{name.strip('/').replace('/', '_')}.log"
            try:
                with log.open("a", encoding="utf-8") as file:
                    try:
                        self._mount(node, root, number, system, file)
                    except MountError as error:
                        _tell(file, f"not mounted: {error}")
                        raise
            except (MountError, OSError) as error:
                details = (("Message", str(error)), ("MountConfigurationPath", name))
                text = "An error was encountered while configuring specified mount(s)"
                return Failed("UserError", "MountConfigurationError", text, details)
        return None

    def settle(self, node: str) -> None:
        """Waits a while until what was written on a node is uploaded."""
        with self._lock:
            mounts = list(self._mounts.get(node, ()))
        _settle(mounts)

    def unmount(self, node: str) -> None:
        with self._lock:
            mounts = self._mounts.pop(node, [])
        _unmount(mounts)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            mounts = [mount for group in self._mounts.values() for mount in group]
            self._mounts.clear()
        _unmount(mounts)

    @property
    def _scratch(self) -> Path:
        return self._location / "mounts"

    def _mount(self, node: str, root: Path, number: int, system: Mapping, log: IO[str]) -> None:
        if missing := mountable(self._storage).missing:
            raise MountError(missing)
        container = system["containerName"]
        url = f"{self._account(system).url}/{container}?{self._sas(system)}"
        self._check(url)
        path = root / "fsmounts" / system["relativeMountPath"]
        scratch = self._scratch / node / str(number)
        path.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        options, ignored = translate(system.get("blobfuseOptions", ""))
        if ignored:
            _tell(log, f"without effect in the emulator: {' '.join(ignored)}")
        with self._lock:
            if self._closed:
                raise MountError("The emulator ends.")
            process = _start(container, path, scratch, options, self._environment(root, scratch, url))
            self._mounts.setdefault(node, []).append(_Mount(path, scratch, process))
        _await(process, path, scratch)
        _tell(log, f"mounted {container} at {path}")

    def _account(self, system: Mapping) -> StorageAccount:
        for account in self._storage:
            if account.name == system["accountName"]:
                return account
        # The pool is from before a restart, when there was another Azurite.
        raise MountError(f"There is no storage account {system['accountName']!r}.")

    def _sas(self, system: Mapping) -> str:
        """For the container, by what the configuration has."""
        from azure.core.exceptions import AzureError
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        if "sasKey" in system:
            return system["sasKey"].lstrip("?")
        now = datetime.now(UTC)
        rights = ContainerSasPermissions(read=True, write=True, delete=True, list=True, add=True, create=True)
        named = (system["accountName"], system["containerName"])
        try:
            if "accountKey" in system:
                key = {"account_key": system["accountKey"], "expiry": now + KEY_LIFETIME}
            else:
                with self._access.service_as(
                    self._account(system).url, system["identityReference"]
                ) as service:
                    expiry = now + IDENTITY_LIFETIME
                    delegated = service.get_user_delegation_key(now - timedelta(minutes=5), expiry)
                key = {"user_delegation_key": delegated, "expiry": expiry}
            return generate_container_sas(*named, permission=rights, **key)
        except (AzureError, ValueError) as error:
            raise MountError(f"The credential can't be used: {_first_line(error)}") from None

    def _check(self, url: str) -> None:
        """A mount of what can't be listed would only fail at its first use."""
        from azure.core.exceptions import AzureError

        try:
            with self._access.container(url, None) as client:
                next(client.list_blobs(results_per_page=1), None)
        except (AzureError, ValueError) as error:
            raise MountError(f"The container can't be listed: {_first_line(error)}") from None

    def _environment(self, root: Path, scratch: Path, url: str) -> dict[str, str]:
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(scratch),
            "RCLONE_CONFIG_BLOBS_TYPE": "azureblob",
            "RCLONE_CONFIG_BLOBS_SAS_URL": url,
            MARK: str(self._location),
        }
        if (root / BUNDLE).exists():
            environment["SSL_CERT_FILE"] = str(root / BUNDLE)
        return environment


def translate(blobfuse_options: str) -> tuple[list[str], list[str]]:
    """rclone's words for those of blobfuse's options that it has, and the options that are left over."""
    words: list[str] = []
    left: list[str] = []
    try:
        given = shlex.split(blobfuse_options)
    except ValueError:
        return [], [blobfuse_options]
    it = iter(given)
    for word in it:
        options = next(it, "").split(",") if word == "-o" else [word.removeprefix("-o ")]
        for option in options:
            match option.removeprefix("--"):
                case "allow_other" | "allow-other" | "allow-other=true":
                    words.append("--allow-other")
                case "ro" | "read-only" | "read-only=true":
                    words.append("--read-only")
                case _:
                    left.append(option)
    return words, left


def below(directory: Path) -> list[Path]:
    """Where something is mounted in a directory or deeper, the deepest first."""
    try:
        lines = _TABLE.read_text().splitlines()
    except FileNotFoundError:
        return []  # not Linux, where nothing is mounted
    points = (re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), line.split()[4]) for line in lines)
    found = [Path(point) for point in points if Path(point).is_relative_to(directory)]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def unmount_below(directory: Path) -> bool:
    """Whether nothing is mounted there any more. A directory that is to be deleted must not hold a container."""
    for path in below(directory.resolve()):
        _take_off(path)
    return not below(directory.resolve())


def _unmounter() -> str | None:
    return shutil.which("fusermount3") or shutil.which("fusermount")


def _take_off(path: Path) -> None:
    """At once if nobody uses it, else out of sight at once and as a whole when nobody uses it any more."""
    if (command := _unmounter()) is None:
        return
    for how in ("-u", "-uz"):
        if subprocess.run([command, how, str(path)], capture_output=True, check=False).returncode == 0:
            return


def _start(
    container: str, path: Path, scratch: Path, options: list[str], environment: dict[str, str]
) -> subprocess.Popen:
    command = ["rclone", "--config=", "mount", f"BLOBS:{container}", str(path), f"--cache-dir={scratch}"]
    # Whatever is written is uploaded soon, but not while it is being closed: rclone loses a file that is renamed then.
    command += ["--vfs-cache-mode=writes", "--vfs-write-back=100ms"]
    # What others upload is seen at once.
    command += ["--dir-cache-time=0s", "--attr-timeout=0s", "--poll-interval=0"]
    with (scratch / "stderr").open("wb") as errors:
        return subprocess.Popen(
            command + options,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd="/",
            env=environment,
            start_new_session=True,
        )


def _await(process: subprocess.Popen, path: Path, scratch: Path) -> None:
    deadline = time.monotonic() + MOUNT_SECONDS
    while not path.is_mount():
        if process.poll() is not None:
            said = _unsigned((scratch / "stderr").read_text(errors="replace").strip())
            raise MountError(f"rclone ended with exit code {process.returncode}: {said[-500:]}")
        if time.monotonic() > deadline:
            raise MountError(f"rclone did not mount it within {MOUNT_SECONDS} seconds.")
        time.sleep(0.02)


def _settle(mounts: list[_Mount]) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while any(mount.process.poll() is None and mount.pending for mount in mounts):
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def _unmount(mounts: list[_Mount]) -> None:
    _settle(mounts)
    for mount in mounts:
        if below(mount.path):  # the table is true of one whose server has died, too
            _take_off(mount.path)
        else:  # it has not come that far
            mount.process.terminate()
    for mount in mounts:
        try:
            mount.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            mount.process.kill()
            mount.process.wait()
        unmount_below(mount.path)
        shutil.rmtree(mount.scratch, ignore_errors=True)


def _dirty(file: Path) -> bool:
    """Of rclone's record of a file in its cache."""
    try:
        return json.loads(file.read_text()).get("Dirty", False)
    except FileNotFoundError:
        return False
    except ValueError:
        return True  # it is being written


def _tell(log: IO[str], text: str) -> None:
    log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")


def _first_line(error: Exception) -> str:
    return _unsigned(str(error).partition("\n")[0])


def _unsigned(text: str) -> str:
    return re.sub(r"sig=[^&\s\"']*", "sig=...", text)
