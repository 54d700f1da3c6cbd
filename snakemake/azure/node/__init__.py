"""What runs inside a task, on a node.

`__main__` is the task's command, `order` what it is told to do, `scratch` its place for temporary files, `watch` stays
beside the job and stores its logs when it fails, `usage` measures what it uses, `sources` lays out the workflow's
files, `fetched` finds those from elsewhere, `conda` and `environments` make environments once for a node, `shared` is
what tasks of a node have in common, `startup` starts Snakemake without what a task never uses, `arguments` writes and
reads Snakemake's arguments, and `exit` ends the process.
"""
