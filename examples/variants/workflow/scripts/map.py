"""Maps pairs of reads with BWA-MEM; sorts and indexes the alignments."""

import tempfile
from pathlib import Path

import pysam
from common import log_to
from pybwa import BwaMem, BwaMemOptions


def is_proper_pair(alignment: pysam.AlignedSegment, max_fragment: int) -> bool:
    """Whether the two reads face each other, at most `max_fragment` bases apart."""
    if (
        alignment.is_unmapped
        or alignment.mate_is_unmapped
        or alignment.is_forward == alignment.mate_is_forward
    ):
        return False
    inward = alignment.template_length > 0 if alignment.is_forward else alignment.template_length < 0
    return inward and abs(alignment.template_length) <= max_fragment


def aligner_header(hits: list, sample: str) -> dict:
    """The header that BWA gave its alignments, with a read group for the sample."""
    header = next((alignment.header.to_dict() for alignments in hits for alignment in alignments), None)
    if header is None:
        raise ValueError(f"There are no reads of {sample} to map.")
    return {**header, "RG": [{"ID": sample, "SM": sample, "PL": "ILLUMINA"}]}


def main(snakemake) -> None:
    log = log_to(snakemake.log[0])
    sample, threads = snakemake.wildcards.sample, snakemake.threads
    queries = []
    with pysam.FastxFile(snakemake.input.r1) as r1, pysam.FastxFile(snakemake.input.r2) as r2:
        for pair in zip(r1, r2, strict=True):
            queries += pair
    aligner = BwaMem(prefix=Path(snakemake.input.index) / "genome.fa")
    options = BwaMemOptions(threads=threads, interleaved_paired_end=True)
    hits = aligner.align(queries, options)

    header = aligner_header(hits, sample)
    mapped = 0
    with tempfile.TemporaryDirectory() as scratch:
        unsorted = str(Path(scratch) / "unsorted.bam")
        with pysam.AlignmentFile(unsorted, "wb", header=header) as out:
            for number, alignments in enumerate(hits):
                for alignment in alignments:
                    # pybwa 2.3 leaves these flags unset, and callers pass over reads that are in no proper pair.
                    alignment.is_read1, alignment.is_read2 = number % 2 == 0, number % 2 == 1
                    alignment.is_proper_pair = is_proper_pair(alignment, snakemake.params.max_fragment)
                    alignment.set_tag("RG", sample)
                    out.write(alignment)
                    mapped += not (
                        alignment.is_unmapped or alignment.is_secondary or alignment.is_supplementary
                    )
        pysam.samtools.sort("-@", str(threads - 1), "-o", snakemake.output.bam, unsorted, catch_stdout=False)
    pysam.samtools.index(snakemake.output.bam, snakemake.output.bai, catch_stdout=False)
    log.info("%s: %d of %d reads mapped", sample, mapped, len(queries))


main(snakemake)  # noqa: F821
