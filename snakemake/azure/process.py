"""Which process a run's client is, so that another one, perhaps on another machine, can say whether it is gone."""

import getpass
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SLACK = 2.0  # seconds by which the start of a process may be told differently from one time to the next


@dataclass(frozen=True)
class Process:
    """A process on a machine since its last boot. `boot` and `namespace` are empty where the system does not tell them;
    `started` is in seconds since 1970, `since` the time from which on it does what it is noted for.
    """

    user: str
    host: str
    pid: int
    started: float
    boot: str
    namespace: str
    since: datetime

    @classmethod
    def current(cls, now: datetime | None = None) -> "Process":
        import psutil

        return cls(
            user=_user(),
            host=socket.gethostname(),
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            boot=_boot(),
            namespace=_namespace(),
            since=now or datetime.now(UTC),
        )

    @property
    def is_visible(self) -> bool:
        """Whether it was, if it is gone, where this process would see it."""
        return (self.host, self.boot, self.namespace) == (socket.gethostname(), _boot(), _namespace())

    @property
    def is_gone(self) -> bool:
        """Whether it certainly is: it was on this machine and is no more. False where that can't be told from here."""
        import psutil

        if not self.is_visible:
            return False
        try:
            process = psutil.Process(self.pid)
            return (
                abs(process.create_time() - self.started) > _SLACK or process.status() == psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (process {self.pid}), since {self.since:%Y-%m-%d %H:%M:%S} UTC"

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"since": self.since.isoformat()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Process":
        """Raises KeyError, TypeError or ValueError for what is no such note."""
        known = {name: data[name] for name in cls.__dataclass_fields__}
        return cls(**known | {"since": datetime.fromisoformat(data["since"])})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers run with ids that have no name
        return str(os.getuid())


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    """Processes of two containers on one machine do not see each other."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
