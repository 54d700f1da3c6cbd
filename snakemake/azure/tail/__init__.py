"""`snakemake --az-batch-tail`: what a running task prints, as it prints it.

`wanted` reads which job is meant, `runs` finds the run and its tasks, `follow` reads the logs of one of them on its
node, and `command` goes on with what comes after it.
"""
