"""The start task of a pool's nodes: disks are formatted, mounted and used (`data/node_setup.sh`), then the user's own
script runs. Both travel in the command line, so that a node needs no storage account to start.
"""

import base64
import gzip
from functools import cache
from importlib.resources import files

MAX_SCRIPT = 48 * 1024
"""Bytes of a user's script, packed: Linux has 128 KiB for one argument of a program."""


@cache
def disks_script() -> str:
    return (files("snakemake.azure.batch") / "data" / "node_setup.sh").read_text(encoding="utf-8")


def packed(script: str) -> str:
    """Base64 of the script's gzip: the same for the same script."""
    return base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()


def command_line(data_disk: bool, docker_data: str, script: str) -> str | None:
    """The start task's command, which needs no shell of Batch's; None where there is nothing to do."""
    steps = []
    if data_disk or docker_data != "os":
        steps.append(_unpacked("node_setup.sh", disks_script()))
        steps.append(f"/bin/bash node_setup.sh {'data' if data_disk else 'nodata'} {docker_data}")
    if script:
        steps.append(_unpacked("start_task", script))
        steps.append("chmod +x start_task")
        steps.append("./start_task")
    return f"/bin/bash -c 'set -e; {'; '.join(steps)}'" if steps else None


def _unpacked(name: str, script: str) -> str:
    return f"echo {packed(script)} | base64 -d | gzip -d > {name}"
