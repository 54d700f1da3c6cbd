from snakemake.shell import shell

shell("cat {snakemake.input} > {snakemake.output}; echo {snakemake.params.extra} >> {snakemake.output}")
