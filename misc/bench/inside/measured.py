"""Runs a task as `python -m snakemake.azure.node` does on a node of Batch; with `no`, it measures nothing.

`python measured.py yes|no ORDER`
"""

import os
import sys
from pathlib import Path

os.environ["AZ_BATCH_TASK_DIR"] = str(Path(os.environ["AZ_BATCH_TASK_WORKING_DIR"]).parent)
os.environ["AZ_BATCH_TASK_ID"] = os.environ["AZ_BATCH_NODE_ID"] = "bench"

from snakemake.azure.node import __main__ as node  # noqa: E402
from snakemake.azure.node import usage  # noqa: E402
from snakemake.azure.node.exit import leave  # noqa: E402

if sys.argv[1] == "no":
    usage.Meter.watch = lambda *_: None
    usage.Measuring.follow = usage.Measuring.store = lambda self: None
try:
    node.main(sys.argv[2:])
except SystemExit as e:
    leave(e.code if isinstance(e.code, int) else 1)
