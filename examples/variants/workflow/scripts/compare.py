"""Holds the calls of a sample against what was planted."""

from common import log_to, vcf_records, write_table

COLUMNS = ["sample", "pos", "ref", "alt", "kind", "verdict", "quality", "reads"]
SCORES = ["sample", "planted", "found", "missed", "false", "recall", "precision"]


def main(snakemake) -> None:
    log = log_to(snakemake.log[0])
    sample = snakemake.wildcards.sample
    planted, called = vcf_records(snakemake.input.truth), vcf_records(snakemake.input.calls)
    rows = []
    for variant in sorted(planted.keys() | called.keys()):
        verdict = "missed" if variant not in called else "found" if variant in planted else "false"
        call = called.get(variant, {})
        evidence = [call.get("QUAL", "."), call.get("DP", ".")]
        rows.append([sample, variant.pos, variant.ref, variant.alt, variant.kind, verdict, *evidence])
    write_table(snakemake.output.variants, COLUMNS, rows)

    counts = {verdict: sum(row[5] == verdict for row in rows) for verdict in ("found", "missed", "false")}
    recall = counts["found"] / len(planted) if planted else 1.0
    precision = counts["found"] / len(called) if called else 1.0
    score = [sample, len(planted), *counts.values(), f"{recall:.4f}", f"{precision:.4f}"]
    write_table(snakemake.output.score, SCORES, [score])
    log.info("%s", dict(zip(SCORES, score, strict=True)))


main(snakemake)  # noqa: F821
