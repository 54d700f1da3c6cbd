"""Mean depth of coverage in windows along the genome."""

import pysam
from common import log_to, write_table

log = log_to(snakemake.log[0])  # noqa: F821
window = snakemake.params.window  # noqa: F821

with pysam.AlignmentFile(snakemake.input.bam) as bam:  # noqa: F821
    name, length = bam.references[0], bam.lengths[0]
    per_base = [sum(counts) for counts in zip(*bam.count_coverage(name), strict=True)]
rows = []
for start in range(0, length, window):
    depths = per_base[start : start + window]
    rows.append([start + 1, start + len(depths), f"{sum(depths) / len(depths):.2f}"])
write_table(snakemake.output[0], ["first", "last", "depth"], rows)  # noqa: F821
log.info("mean depth %.1f, %d of %d bases uncovered", sum(per_base) / length, per_base.count(0), length)
