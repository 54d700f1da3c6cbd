"""The directory that an emulator keeps everything in: nodes' files, blobs, the account's state, and a lock."""

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..host.orphans import end_orphans


class LocationError(Exception):
    """A directory that can't be used; the message says why."""


class Location:
    """`take()` it before use, `release()` it at the end: no two emulators may have the same one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.nodes, self.blobs = self.path / "nodes", self.path / "azurite"
        self.signing_key = self.path / "signing-key.pem"
        self._state = self.path / "state"
        self._lock: IO[str] | None = None

    def take(self) -> None:
        """Makes and locks the directory, and ends what an emulator that was killed has left running there.
        LocationError if it can't be written to, or belongs to another emulator."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
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
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._state)
        except OSError:
            with suppress(OSError):
                new.unlink()  # on a full disk others need the room
            raise

    def refused(self, reason: object) -> LocationError:
        """For a state that was read, but can't be used."""
        return LocationError(
            f"The state {self._state} can't be used: {reason}; start the version that wrote it, or delete the file "
            "to begin anew."
        )

    def __str__(self) -> str:
        return str(self.path)
