"""What a run keeps in blob storage beside its files, as the Batch side needs it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class SourceStore(Protocol):
    """Where the source archive goes; `name` is `CONTAINER/BLOB`."""

    name: str
    sha256: str

    def upload(self) -> None: ...

    def delete(self) -> bool: ...


class Token(Protocol):
    """What lets the run's tasks write, see `snakemake.azure.blob.fence`; `name` is `CONTAINER/BLOB`."""

    name: str

    def environment(self) -> dict[str, str]: ...

    def allow(self) -> None: ...

    def delete(self) -> bool: ...


class LogStore(Protocol):
    """Where failed tasks store their logs; `name` is `CONTAINER/PATH`, `keep` takes what tasks have used."""

    name: str
    keep: Callable[[bytes], None] | None

    def expect(self, task_id: str) -> None: ...

    def fetch(self, task_id: str, name: str) -> bytes | None: ...

    def delete(self) -> bool: ...


class Access(Protocol):
    """What tasks may do in storage, as variables for them (`snakemake.azure.blob.node_access`)."""

    def environment(self) -> dict[str, str]: ...

    def further(self) -> dict[str, str]: ...

    def revoke(self) -> bool: ...


@dataclass(frozen=True)
class Stores:
    """All of it, for one run."""

    sources: SourceStore
    access: Access | None = None
    logs: LogStore | None = None
    token: Token | None = None
