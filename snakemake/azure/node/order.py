"""What a task is told to do: written by the client into its command line, read on its node."""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NodeOrder:
    """What the node has to do for one task. Travels in the command line, so it holds no secret.

    argv: arguments of `snakemake`; sources: `CONTAINER/BLOB` of the source archive; sha256: its digest; files: the
    digest of what it holds (`snakemake.azure.node.sources.manifest`); limit: the task's time limit in seconds, if it
    has one; inputs: what `inputs.summary` says of each job's input; precommand: a shell command that comes before all.
    """

    argv: tuple[str, ...]
    sources: str
    sha256: str
    files: str
    limit: float | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    precommand: str = ""

    def values(self, flag: str) -> tuple[str, ...]:
        """The values that follow `flag` in the arguments, up to the next option."""
        if flag not in self.argv:
            return ()
        values = self.argv[self.argv.index(flag) + 1 :]
        end = next((i for i, value in enumerate(values) if value.startswith("--")), len(values))
        return values[:end]

    def encode(self) -> str:
        """One argument of letters, digits, `-` and `_`: Batch runs command lines without a shell, and
        nothing in here depends on how it reads quotes."""
        data = json.dumps(vars(self)).encode()
        return base64.urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "NodeOrder":
        """
        Raises
        ------
        ValueError: the text is no encoded order.
        """
        try:
            data = json.loads(zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
            rest = data["files"], data["limit"], data["inputs"], data["precommand"]
            return cls(tuple(data["argv"]), data["sources"], data["sha256"], *rest)
        except (ValueError, zlib.error, KeyError, TypeError) as e:
            raise ValueError(f"not an order for this node ({type(e).__name__})") from None
