"""Reading and writing that several scripts of the workflow need."""

import logging
from dataclasses import dataclass
from pathlib import Path

VCF_COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


@dataclass(frozen=True, order=True)
class Variant:
    """A change against the reference; `pos` counts from 1, an indel carries the base before it, as in VCF."""

    pos: int
    ref: str
    alt: str

    @property
    def kind(self) -> str:
        if len(self.ref) == len(self.alt):
            return "snp"
        return "insertion" if len(self.alt) > len(self.ref) else "deletion"


def log_to(path: str) -> logging.Logger:
    logging.basicConfig(filename=path, filemode="w", level=logging.INFO, format="%(message)s")
    return logging.getLogger()


def read_fasta(path: str) -> tuple[str, str]:
    """Name and sequence of the only record of a FASTA file."""
    header, *lines = Path(path).read_text().splitlines()
    if not header.startswith(">") or any(line.startswith(">") for line in lines):
        raise ValueError(f"{path} is not a FASTA file of one record.")
    return header[1:].split()[0], "".join(lines).upper()


def write_fasta(path: str, name: str, sequence: str, width: int = 70) -> None:
    lines = [sequence[i : i + width] for i in range(0, len(sequence), width)]
    Path(path).write_text("\n".join([f">{name}", *lines, ""]))


def write_table(path: str, header: list[str], rows: list[list]) -> None:
    Path(path).write_text("".join("\t".join(map(str, row)) + "\n" for row in [header, *rows]))


def read_table(path: str) -> list[dict[str, str]]:
    header, *rows = (line.split("\t") for line in Path(path).read_text().splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


def vcf_records(path: str) -> dict[Variant, dict[str, str]]:
    """The variants of a VCF file, each with its QUAL and what its INFO column says."""
    records = {}
    for line in Path(path).read_text().splitlines():
        if line and not line.startswith("#"):
            _, pos, _, ref, alt, quality, _, info = line.split("\t")[:8]
            fields = dict(f.split("=", 1) for f in info.split(";") if "=" in f)
            records[Variant(int(pos), ref, alt)] = {"QUAL": quality, **fields}
    return records
