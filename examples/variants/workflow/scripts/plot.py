"""Draws, for each sample, the depth along the genome and each variant as found, missed or falsely called."""

import os
import tempfile
from pathlib import Path

# A task may have no writable home; matplotlib keeps its font list under this.
os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="matplotlib-"))

import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from common import log_to, read_table  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.patches import FancyArrow, Patch  # noqa: E402

# Okabe and Ito's palette, which colour-blind readers can tell apart; the shapes differ as well.
DEPTH, FOUND, MISSED, FALSE, GENE = "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#999999"
MARKS = {
    "found": {"marker": "v", "color": FOUND, "s": 22, "linewidths": 0},
    "missed": {"marker": "x", "color": MISSED, "s": 30, "linewidths": 1.6},
    "false": {"marker": "D", "color": FALSE, "s": 24, "linewidths": 0},
}
LANES = {"found": 1.07, "missed": 1.17, "false": 1.17}  # heights, in parts of the depth axis
LABELS = {"found": "planted and found", "missed": "planted, not found", "false": "called, not planted"}


def draw_sample(axes, sample: str, coverage: list[dict], variants: list[dict], score: dict) -> None:
    edges = [(int(w["first"]) - 1) / 1000 for w in coverage] + [int(coverage[-1]["last"]) / 1000]
    depths = [float(w["depth"]) for w in coverage]
    bases = [int(w["last"]) - int(w["first"]) + 1 for w in coverage]
    mean = sum(d * n for d, n in zip(depths, bases, strict=True)) / sum(bases)
    axes.stairs(depths, edges, fill=True, color=DEPTH, alpha=0.75)
    axes.axhline(mean, color="black", linewidth=0.7, linestyle=":")
    axes.set_ylim(0, max(depths))
    axes.set_ylabel("depth (reads)")
    for verdict, style in MARKS.items():
        at = [int(v["pos"]) / 1000 for v in variants if v["verdict"] == verdict]
        lane = [LANES[verdict]] * len(at)
        axes.scatter(at, lane, transform=axes.get_xaxis_transform(), clip_on=False, zorder=3, **style)
    axes.spines[["top", "right"]].set_visible(False)
    heading = (
        f"mean depth {mean:.0f}, {score['found']} of {score['planted']} variants found, {score['false']} false calls: "
        f"recall {float(score['recall']):.2f}, precision {float(score['precision']):.2f}"
    )
    axes.set_title(sample, loc="left", fontsize=10.5, fontweight="bold", pad=29)
    axes.set_title(heading, loc="right", fontsize=9.5, pad=29)


def draw_genes(axes, genes: dict[str, list], length: float) -> None:
    axes.set_ylim(-1.9, 1.9)
    axes.axhline(0, color="black", linewidth=0.8)
    for name, (first, last, strand) in genes.items():
        y = 0.5 if strand == "+" else -0.5
        start, end = (first, last) if strand == "+" else (last, first)
        head = min(250, 0.6 * abs(end - start)) / 1000
        arrow = FancyArrow(
            start / 1000,
            y,
            (end - start) / 1000,
            0,
            width=0.55,
            head_width=0.85,
            head_length=head,
            length_includes_head=True,
            linewidth=0,
            color=GENE,
        )
        axes.add_patch(arrow)
        axes.annotate(
            name, ((first + last) / 2000, 2.6 * y), ha="center", va="center", fontsize=7.5, style="italic"
        )
    axes.set_yticks([0.5, -0.5], ["genes +", "genes −"], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlim(0, length)
    axes.set_xlabel("position in NC_001416.1, phage lambda (kb)")


def draw_legend(figure) -> None:
    keys: list = [
        Line2D([], [], linestyle="", label=LABELS[verdict], marker=style["marker"], color=style["color"])
        for verdict, style in MARKS.items()
    ]
    keys.append(Patch(color=DEPTH, alpha=0.75, label="depth, mean of a window"))
    keys.append(Line2D([], [], color="black", linewidth=0.7, linestyle=":", label="mean depth of the sample"))
    figure.legend(handles=keys, ncols=len(keys), loc="outside upper center", frameon=False, fontsize=9)


def main(snakemake) -> None:
    log = log_to(snakemake.log[0])
    samples = snakemake.params.samples
    scores = {row["sample"]: row for row in read_table(snakemake.input.summary)}
    figure, rows = plt.subplots(
        len(samples) + 1,
        1,
        sharex=True,
        figsize=(11, 1.95 * len(samples) + 1.6),
        height_ratios=[1.5] * len(samples) + [0.75],
        layout="constrained",
    )
    length = 0.0
    for axes, sample, coverage, variants in zip(
        rows, samples, snakemake.input.coverage, snakemake.input.variants, strict=False
    ):
        windows = read_table(coverage)
        length = max(length, int(windows[-1]["last"]) / 1000)
        draw_sample(axes, sample, windows, read_table(variants), scores[sample])
    draw_genes(rows[-1], snakemake.params.genes, length)
    draw_legend(figure)
    for path in map(Path, snakemake.output):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
        log.info("%s: %d bytes", path.name, path.stat().st_size)


main(snakemake)  # noqa: F821
