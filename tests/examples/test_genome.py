"""The genome of the example is what its README says: checked against facts from elsewhere."""

import hashlib
import re
from collections import Counter

import pytest
import yaml

from .conftest import EXAMPLE

FASTA = EXAMPLE / "data" / "NC_001416.1.fa"
CONFIG = yaml.safe_load((EXAMPLE / "config" / "config.yaml").read_text())
STOPS = {"TAA", "TAG", "TGA"}


@pytest.fixture(scope="module")
def genome() -> str:
    header, *lines = FASTA.read_text().splitlines()
    assert header.split()[0] == ">NC_001416.1"
    return "".join(lines)


def sites(genome: str, motif: str) -> list[int]:
    return [m.start() + 1 for m in re.finditer(motif, genome)]


def codons(genome: str, first: int, last: int, strand: str) -> list[str]:
    gene = genome[first - 1 : last]
    if strand == "-":
        gene = gene.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    return [gene[i : i + 3] for i in range(0, len(gene), 3)]


def cI857_Sam7(genome: str) -> str:  # noqa: N802
    bases = list(genome)
    for pos, ref, alt in CONFIG["samples"]["cI857_Sam7"]["known"]:
        assert bases[pos - 1] == ref
        bases[pos - 1] = alt
    return "".join(bases)


def test_length_composition_and_digest(genome):
    assert len(genome) == 48502
    assert Counter(genome) == {"A": 12334, "C": 11362, "G": 12820, "T": 11986}
    digest = hashlib.sha256(genome.encode()).hexdigest()
    assert digest == "36432a40f602258d19ae7c8152ddbc30390b559f2859c01d7047c77b048c71b3"
    assert digest in (EXAMPLE / "README.md").read_text()
    assert genome.startswith("GGGCGGCGACCT")


def test_restriction_sites_of_the_wild_type(genome):
    assert sites(genome, "GAATTC") == [21226, 26104, 31747, 39168, 44972]
    assert sites(genome, "AAGCTT") == [23130, 25157, 27479, 36895, 37459, 44141]


def test_the_known_mutations_do_what_is_published_of_them(genome):
    mutant = cI857_Sam7(genome)
    assert set(sites(mutant, "AAGCTT")) - set(sites(genome, "AAGCTT")) == {37584}
    assert codons(genome, *CONFIG["genes"]["S"])[55] == "TGG"
    assert codons(mutant, *CONFIG["genes"]["S"])[55] == "TAG"


@pytest.mark.parametrize("name", CONFIG["genes"])
def test_genes_are_open_reading_frames(genome, name):
    first, *middle, last = codons(genome, *CONFIG["genes"][name])
    assert first in {"ATG", "GTG"}
    assert last in STOPS
    assert not STOPS & set(middle)
