"""The name under which Snakemake's core finds the executor `az-batch`; see `snakemake.executors.azure_batch`."""

from snakemake.executors.azure_batch import AzBatchExecutor as Executor
from snakemake.executors.azure_batch import ExecutorSettings, common_settings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]
