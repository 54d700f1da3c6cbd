"""Ends the run with an error where a sample's recall or precision is below its bound."""

import sys
from pathlib import Path

from common import log_to, read_table


def main(snakemake) -> None:
    log = log_to(snakemake.log[0])
    misses, lines = [], []
    for row in read_table(snakemake.input[0]):
        for measure, bound in snakemake.params.bounds.items():
            line = f"{row['sample']}: {measure} {row[measure]}, at least {bound} wanted"
            log.info(line)
            lines.append(line)
            if float(row[measure]) < float(bound):  # a bound from the command line comes as text
                misses.append(line)
    if misses or not lines:
        sys.exit(
            "The calls do not match the planted variants: " + "; ".join(misses or ["no sample was scored"])
        )
    Path(snakemake.output[0]).write_text("\n".join([*lines, "All bounds are kept.", ""]))


main(snakemake)  # noqa: F821
