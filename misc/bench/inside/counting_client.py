"""Snakemake's command line, which also notes how many tasks are open at each poll of Azure Batch.

`python counting_client.py FILE ARGUMENT...`: one JSON line `[seconds, open tasks]` for each poll.
"""

import json
import sys
import time
from pathlib import Path

from snakemake.cli import main

from snakemake.azure.batch.run import BatchRun

file = Path(sys.argv.pop(1))
poll = BatchRun.poll


def counted(self):
    with file.open("a", encoding="utf-8") as out:
        print(json.dumps([time.monotonic(), sum(len(q.open_slots) for q in self.queues.values())]), file=out)
    return poll(self)


BatchRun.poll = counted  # type: ignore[method-assign]
main()
