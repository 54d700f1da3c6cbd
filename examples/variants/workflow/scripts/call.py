"""Calls the variants of a haploid genome with bcftools, and filters the calls."""

import tempfile
from pathlib import Path

import pysam
from common import log_to
from pysam import bcftools


def main(snakemake) -> None:
    log = log_to(snakemake.log[0])
    limits = snakemake.params.limits
    genome = str(Path(snakemake.input.index) / "genome.fa")
    fraction = "(DP4[2]+DP4[3])/(DP4[0]+DP4[1]+DP4[2]+DP4[3])"
    keep = (
        f"QUAL>={limits['min_quality']} && DP>={limits['min_depth']} && {fraction}>={limits['min_fraction']}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        piled, called, normed = (str(Path(scratch) / f"{step}.bcf") for step in ("piled", "called", "normed"))
        qualities = ("-q", str(limits["min_mapping_quality"]), "-Q", str(limits["min_base_quality"]))
        run = {"catch_stdout": False}
        bcftools.mpileup("-f", genome, *qualities, "-Ob", "-o", piled, snakemake.input.bam, **run)
        bcftools.call("--ploidy", "1", "-mv", "-Ob", "-o", called, piled, **run)
        bcftools.norm("-f", genome, "-Ob", "-o", normed, called, **run)
        bcftools.view("-i", keep, "-Ov", "-o", snakemake.output[0], normed, **run)
        with pysam.VariantFile(called) as before, pysam.VariantFile(snakemake.output[0]) as after:
            log.info("%d calls, %d of them kept by: %s", len(list(before)), len(list(after)), keep)


main(snakemake)  # noqa: F821
