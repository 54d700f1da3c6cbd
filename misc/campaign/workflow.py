"""The workflow of a campaign: real files whose content can be known beforehand, and a count of each job's executions.

Parts are made from inputs, groups of ten parts are joined, and the joins are summed up. Each file is a SHA-256 of what
it was made from and of the workflow's version, so that a result of an older version, half a file, or a missing input
shows in the end. A job notes that it runs, by a line in a file of its own below `ledger`, which no rule knows.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SNAKEFILE = """\
VERSION, LEDGER = {version!r}, {ledger!r}
PARTS, FAN = {parts}, {fan}

def members(wildcards):
    first = int(wildcards.j) * FAN
    return expand("part/{{i}}.txt", i=range(first, min(first + FAN, PARTS)))

rule all:
    input: "total.txt"

rule part:
    input: "in/data.txt"
    output: "part/{{i}}.txt"
    params: v=VERSION
    shell:
        "echo x >> " + LEDGER + "/part.{{wildcards.i}}; sleep {seconds}; "
        "( echo part {{wildcards.i}} {{params.v}}; cat {{input}} ) | sha256sum | cut -c1-64 > {{output}}"

rule join:
    input: members
    output: "join/{{j}}.txt"
    params: v=VERSION
    shell:
        "echo x >> " + LEDGER + "/join.{{wildcards.j}}; "
        "( echo join {{wildcards.j}} {{params.v}}; cat {{input}} ) | sha256sum | cut -c1-64 > {{output}}"

rule total:
    input: expand("join/{{j}}.txt", j=range(-(-PARTS // FAN)))
    output: "total.txt"
    params: v=VERSION
    shell:
        "echo x >> " + LEDGER + "/total; "
        "( echo total {{params.v}}; cat {{input}} ) | sha256sum | cut -c1-64 > {{output}}"
"""
FAN = 10
INPUT = "input\n"


def _digest(text: str) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n"


@dataclass(frozen=True)
class Workflow:
    """`parts` jobs, a join of each ten of them, and one total; a part takes `seconds`."""

    parts: int
    ledger: Path
    version: str = "1"
    seconds: float = 0.2

    @classmethod
    def of_jobs(cls, jobs: int, ledger: Path, **more: object) -> "Workflow":
        """One with about so many jobs in all."""
        return cls(max(1, round((jobs - 1) * FAN / (FAN + 1))), ledger, **more)  # type: ignore[arg-type]

    @property
    def joins(self) -> int:
        return -(-self.parts // FAN)

    @property
    def jobs(self) -> int:
        return self.parts + self.joins + 1

    def text(self) -> str:
        return SNAKEFILE.format(
            version=self.version, ledger=str(self.ledger), parts=self.parts, fan=FAN, seconds=self.seconds
        )

    def expected(self) -> dict[str, str]:
        """Every output's path and content, as a run on local files makes them."""
        parts = [_digest(f"part {i} {self.version}\n{INPUT}") for i in range(self.parts)]
        joins = [
            _digest(f"join {j} {self.version}\n" + "".join(parts[j * FAN : (j + 1) * FAN]))
            for j in range(self.joins)
        ]
        files = {f"part/{i}.txt": text for i, text in enumerate(parts)}
        files |= {f"join/{j}.txt": text for j, text in enumerate(joins)}
        return files | {"total.txt": _digest(f"total {self.version}\n" + "".join(joins))}

    def executions(self) -> Counter[str]:
        """How often each job has begun to run, by rule and wildcard (`part.3`)."""
        return Counter({path.name: path.read_text().count("x") for path in self.ledger.iterdir()})
