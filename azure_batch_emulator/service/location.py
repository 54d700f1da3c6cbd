"""The directory that an emulator keeps everything in: nodes' files, blobs, the account's state and key, and a lock.

Nobody but its owner can look into it, and files that may hold a secret are the owner's alone by themselves.
"""

import base64
import fcntl
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..host.orphans import end_orphans


def new_key() -> str:
    """A key of an account: 64 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(64)).decode()


def open_private(path: Path) -> int:
    """A descriptor of a new, empty file that only its owner can read, also if it was there before."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


class LocationError(Exception):
    """A directory that can't be used; the message says why."""


class Location:
    """`take()` it before use, `release()` it at the end: no two emulators may have the same one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.nodes, self.blobs = self.path / "nodes", self.path / "azurite"
        self.signing_key = self.path / "signing-key.pem"
        self._state = self.path / "state"
        self._key = self.path / "account-key"
        self._lock: IO[str] | None = None

    def take(self) -> None:
        """Makes and locks the directory, and ends what an emulator that was killed has left running there.
        LocationError if it can't be written to, or belongs to another emulator."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (owner := self.path.stat().st_uid) != os.geteuid():
                raise LocationError(
                    f"The directory {self.path} belongs to another user ({owner}), who could change what runs here; "
                    "choose another with --location."
                )
            self.path.chmod(0o700)
            lock = (self.path / "lock").open("a+")
            tempfile.TemporaryFile(dir=self.path).close()
        except OSError as error:
            raise LocationError(
                f"The directory {self.path} can't be written to ({error.strerror}); choose another with --location."
            ) from None
        try:
            # The system lets go of it when the process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise LocationError(
                f"The directory {self.path} is in use by another emulator (process {holder}); stop that one, or "
                "choose another directory with --location."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        end_orphans(self.path)

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def read_state(self) -> bytes | None:
        """What was written last, or None."""
        try:
            return self._state.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LocationError(f"The state {self._state} can't be read ({error.strerror}).") from None

    def write_state(self, data: bytes) -> None:
        """All of it or nothing, whatever ends the process or the machine meanwhile. Only the owner can read it: pools
        may hold passwords of registries."""
        new = self._state.with_name("state.new")
        try:
            with open(open_private(new), "wb") as file:  # noqa: PTH123
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._state)
        except OSError:
            with suppress(OSError):
                new.unlink()  # on a full disk others need the room
            raise

    def write_key(self, key: str) -> None:
        """Keeps the account's key of this start for `read_key`."""
        with open(open_private(self._key), "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(key)

    def read_key(self) -> str:
        """The account's key of the emulator that runs here, or ran last; LocationError if there is none."""
        try:
            return self._key.read_text(encoding="ascii")
        except OSError as error:
            raise LocationError(
                f"The key {self._key} can't be read ({error.strerror}); give the --location of a running emulator, as "
                "the user who runs it."
            ) from None

    def refused(self, reason: object) -> LocationError:
        """For a state that was read, but can't be used."""
        return LocationError(
            f"The state {self._state} can't be used: {reason}; start the version that wrote it, or delete the file "
            "to begin anew."
        )

    def __str__(self) -> str:
        return str(self.path)
