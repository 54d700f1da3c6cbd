with open(snakemake.output[0], "w") as target, open(snakemake.input[0]) as source:
    target.write("scripted " + source.read())
