"""`snakemake --az-batch-check`: tries with a user's own options, before a first large run, what it will need.

`service` tries what needs no node, `node` one job from start to end. `steps` times and shows what they try.
"""
