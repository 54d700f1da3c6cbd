"""Plants variants into the reference: writes them as VCF, and the donor genome that carries them as FASTA."""

import random
from pathlib import Path

from common import VCF_COLUMNS, Variant, log_to, read_fasta, write_fasta

MARGIN = 500  # bases at each end of the linear genome, where coverage fades out
SPACING = 60  # bases between two variants, so that neither blurs the other's alignment
LONGEST_INDEL = 8


def left_aligned(genome: str, variant: Variant) -> Variant:
    """The same change in its leftmost form, which is the one that callers report."""
    pos, ref, alt = variant.pos, variant.ref, variant.alt
    while len(ref) != len(alt) and ref[-1] == alt[-1] and pos > 1:
        before = genome[pos - 2]
        pos, ref, alt = pos - 1, before + ref[:-1], before + alt[:-1]
    return Variant(pos, ref, alt)


def draw(genome: str, pos: int, kind: str, rng: random.Random) -> Variant:
    base = genome[pos - 1]
    if kind == "snp":
        return Variant(pos, base, rng.choice([b for b in "ACGT" if b != base]))
    length = rng.randint(1, LONGEST_INDEL)
    if kind == "deletion":
        variant = Variant(pos, genome[pos - 1 : pos + length], base)
    else:
        variant = Variant(pos, base, base + "".join(rng.choice("ACGT") for _ in range(length)))
    return left_aligned(genome, variant)


def plant(genome: str, known: list[Variant], snps: int, indels: int, rng: random.Random) -> list[Variant]:
    planted = list(known)
    for variant in known:
        if genome[variant.pos - 1 : variant.pos - 1 + len(variant.ref)] != variant.ref:
            raise ValueError(f"The reference does not have {variant.ref} at {variant.pos}.")
    kinds = ["snp"] * snps + ["insertion" if i % 2 else "deletion" for i in range(indels)]
    for kind in kinds:
        for _ in range(1000):
            variant = draw(genome, rng.randrange(MARGIN, len(genome) - MARGIN), kind, rng)
            if all(abs(variant.pos - other.pos) > SPACING for other in planted):
                planted.append(variant)
                break
        else:
            raise ValueError(f"There is no room for {snps + indels} variants, {SPACING} bases apart.")
    return sorted(planted)


def donor_of(genome: str, variants: list[Variant]) -> str:
    pieces, end = [], 0
    for variant in variants:
        pieces += [genome[end : variant.pos - 1], variant.alt]
        end = variant.pos - 1 + len(variant.ref)
    return "".join([*pieces, genome[end:]])


def main(snakemake) -> None:
    log = log_to(snakemake.log[0])
    sample, params = snakemake.wildcards.sample, snakemake.params
    name, genome = read_fasta(snakemake.input.genome)
    rng = random.Random(f"{params.seed}/{sample}")
    variants = plant(genome, [Variant(*v) for v in params.known], params.snps, params.indels, rng)
    lines = ["##fileformat=VCFv4.2", f"##contig=<ID={name},length={len(genome)}>", VCF_COLUMNS]
    lines += [f"{name}\t{v.pos}\t.\t{v.ref}\t{v.alt}\t.\tPASS\t." for v in variants]
    Path(snakemake.output.truth).write_text("\n".join([*lines, ""]))
    donor = donor_of(genome, variants)
    write_fasta(snakemake.output.donor, f"{name}_{sample}", donor)
    log.info("%s: %d variants planted; %d bases became %d", sample, len(variants), len(genome), len(donor))


main(snakemake)  # noqa: F821
