"""Azure's side of the executor: settings, credentials, Batch, Blob Storage, and what runs inside a task.

Nothing here knows Snakemake's DAG, and nothing here imports `snakemake.executors`.
"""
