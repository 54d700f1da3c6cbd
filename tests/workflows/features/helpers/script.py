with open(snakemake.output[0], "w") as target, open(snakemake.input.named) as source:
    target.write(source.read())
    print(snakemake.wildcards.s, sum(snakemake.params.numbers), snakemake.params.text, file=target)
    print(snakemake.threads, snakemake.resources.foo, snakemake.rule, snakemake.config["word"], file=target)
with open(snakemake.log[0], "w") as log:
    print("said", file=log)
