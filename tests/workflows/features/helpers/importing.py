from neighbour import text

with open(snakemake.output[0], "w") as target:
    target.write(text())
