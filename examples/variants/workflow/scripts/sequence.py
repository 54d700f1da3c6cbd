"""Sequences a donor genome: pairs of reads with qualities that fall along the read, and errors that follow them."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from common import log_to, read_fasta

COMPLEMENT = np.zeros(256, dtype=np.uint8)
COMPLEMENT[list(b"ACGT")] = list(b"TGCA")
OTHERS = np.zeros((256, 3), dtype=np.uint8)
for base in b"ACGT":
    OTHERS[base] = [b for b in b"ACGT" if b != base]


def qualities(shape: tuple[int, int], first: float, last: float, rng: np.random.Generator) -> np.ndarray:
    """Phred scores: steady, then falling ever faster to the 3' end, and some reads worse than others."""
    cycle = np.linspace(0, 1, shape[1])
    mean = first - (first - last) * cycle**3
    read = -np.abs(rng.normal(0, 3, size=(shape[0], 1)))
    return np.clip(np.rint(mean + read + rng.normal(0, 4, size=shape)), 2, 41).astype(np.uint8)


def with_errors(reads: np.ndarray, quality: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wrong = rng.random(reads.shape) < 10 ** (quality / -10.0)
    reads = reads.copy()
    reads[wrong] = OTHERS[reads[wrong], rng.integers(0, 3, wrong.sum())]
    return reads


def write_fastq(path: str, name: str, reads: np.ndarray, quality: np.ndarray) -> None:
    records = (
        b"@%s:%d\n%s\n+\n%s\n" % (name.encode(), i, read.tobytes(), scores.tobytes())
        for i, (read, scores) in enumerate(zip(reads, quality + 33, strict=True))
    )
    with Path(path).open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0) as out:
        out.write(b"".join(records))


def main(snakemake) -> None:
    log = log_to(snakemake.log[0])
    sample, depth, settings = snakemake.wildcards.sample, snakemake.params.depth, snakemake.params.reads
    length = settings["length"]
    genome = np.frombuffer(read_fasta(snakemake.input.donor)[1].encode(), dtype=np.uint8)
    rng = np.random.default_rng([snakemake.params.seed, zlib.crc32(sample.encode())])

    pairs = round(depth * len(genome) / (2 * length))
    spread = rng.normal(settings["fragment_mean"], settings["fragment_sd"], pairs)
    fragment = np.clip(np.rint(spread), length, len(genome)).astype(int)
    start = (rng.random(pairs) * (len(genome) - fragment + 1)).astype(int)
    offsets = np.arange(length)
    forward = genome[start[:, None] + offsets]
    reverse = COMPLEMENT[genome[(start + fragment)[:, None] - 1 - offsets]]
    flipped = rng.random((pairs, 1)) < 0.5

    errors = 0
    for path, reads in (
        (snakemake.output.r1, np.where(flipped, reverse, forward)),
        (snakemake.output.r2, np.where(flipped, forward, reverse)),
    ):
        quality = qualities(reads.shape, settings["quality_first"], settings["quality_last"], rng)
        sequenced = with_errors(reads, quality, rng)
        errors += int((sequenced != reads).sum())
        write_fastq(path, sample, sequenced, quality)
    rate = errors / (2 * pairs * length)
    log.info("%s: %d pairs of %d bases; %.2f %% of the bases are wrong", sample, pairs, length, 100 * rate)


main(snakemake)  # noqa: F821
