"""Lays the reference with its BWA index, sequence dictionary and FASTA index into one directory."""

import shutil
from pathlib import Path

import pysam
from common import log_to, read_fasta
from pybwa import BwaIndex

log = log_to(snakemake.log[0])  # noqa: F821
directory = Path(snakemake.output[0])  # noqa: F821
directory.mkdir(parents=True, exist_ok=True)
genome = directory / "genome.fa"
shutil.copyfile(snakemake.input.genome, genome)  # noqa: F821

BwaIndex.index(genome)
pysam.samtools.dict("-o", str(genome.with_suffix(".dict")), str(genome), catch_stdout=False)
pysam.samtools.faidx(str(genome))
name, sequence = read_fasta(str(genome))
gc = sum(sequence.count(base) for base in "GC") / len(sequence)
log.info("%s: %d bases, %.2f %% G+C", name, len(sequence), 100 * gc)
log.info("files: %s", ", ".join(sorted(p.name for p in directory.iterdir())))
