"""Cuts the bad 3' ends off pairs of reads, and drops a pair of which one read gets too short."""

import argparse
import gzip
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice

Record = tuple[bytes, bytes, bytes]  # name, bases, qualities
Pair = tuple[Record, Record]
PAIRS_AT_ONCE = 2000


def records(path: str) -> Iterator[Record]:
    with gzip.open(path, "rb") as lines:
        while four := list(islice(lines, 4)):
            if len(four) < 4 or not four[0].startswith(b"@"):
                raise ValueError(f"{path} is not a FASTQ file: a record ends early or has no '@'.")
            yield four[0].rstrip(), four[1].rstrip(), four[3].rstrip()


def kept_length(scores: bytes, threshold: int) -> int:
    """Where to cut: the sum of (threshold - quality) from the cut to the 3' end is the largest there is."""
    total = best = 0
    cut = len(scores)
    for i in range(len(scores) - 1, -1, -1):
        total += threshold - (scores[i] - 33)
        if total < 0:
            break
        if total > best:
            best, cut = total, i
    return cut


def trimmed(pairs: Iterable[Pair], threshold: int, min_length: int) -> tuple[bytes, bytes, int, int]:
    """FASTQ text of both mates, how many pairs were kept, how many bases were cut off these."""
    texts: tuple[list[bytes], list[bytes]] = ([], [])
    cut_bases = 0
    for pair in pairs:
        lengths = [kept_length(scores, threshold) for _, _, scores in pair]
        if min(lengths) >= min_length:
            for text, (name, bases, scores), length in zip(texts, pair, lengths, strict=True):
                text.append(b"%s\n%s\n+\n%s\n" % (name, bases[:length], scores[:length]))
                cut_bases += len(bases) - length
    return b"".join(texts[0]), b"".join(texts[1]), len(texts[0]), cut_bases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", type=int, required=True, metavar="PHRED")
    parser.add_argument("--min-length", type=int, required=True, metavar="BASES")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--in", dest="sources", nargs=2, required=True, metavar="FASTQ.GZ")
    parser.add_argument("--out", dest="targets", nargs=2, required=True, metavar="FASTQ.GZ")
    args = parser.parse_args()

    pairs = list(zip(*map(records, args.sources), strict=True))
    chunks = [pairs[i : i + PAIRS_AT_ONCE] for i in range(0, len(pairs), PAIRS_AT_ONCE)]
    kept = cut = 0
    with (
        ProcessPoolExecutor(args.threads) as workers,
        gzip.open(args.targets[0], "wb", compresslevel=4) as first,
        gzip.open(args.targets[1], "wb", compresslevel=4) as second,
    ):
        trim = partial(trimmed, threshold=args.quality, min_length=args.min_length)
        for text1, text2, pairs_kept, bases_cut in workers.map(trim, chunks):
            first.write(text1)
            second.write(text2)
            kept += pairs_kept
            cut += bases_cut
    print(f"{kept} of {len(pairs)} pairs kept; {cut} bases cut off them")


if __name__ == "__main__":
    main()
