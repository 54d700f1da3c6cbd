# ruff: noqa: F821
"""Counts the variants of each kind, and draws where they lie."""

from collections import Counter
from pathlib import Path

rows = [line.split("\t") for line in Path(snakemake.input[0]).read_text().splitlines()]
kinds = Counter(f"{ref}>{alt}" for _, _, ref, alt, *_ in rows)
Path(snakemake.output.table).write_text(
    "".join(f"{kind}\t{count}\n" for kind, count in sorted(kinds.items()))
)
marks = "".join(f'<rect x="{int(position) / 20:.1f}" width="2" height="40"/>' for _, position, *_ in rows)
Path(snakemake.output.plot).write_text(
    f'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="40">{marks}</svg>'
)
