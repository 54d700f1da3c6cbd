"""Writes docs/options.md from the settings themselves: `python misc/docs/options.py`.

A test holds the file against what this prints, so an option cannot be undocumented or documented and gone.
"""

import re
from dataclasses import fields
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "options.md"

# ruff: noqa: E501  (the lines of tables)

HEAD = """\
# Options, resources and variables

<!-- Written by misc/docs/options.py from the settings; change them there. -->

`--az-batch` selects the executor (also `--executor az-batch`). Snakemake's own options work as they do with every
executor; those that matter most here:

| option | meaning |
|---|---|
| `--jobs N` | how many jobs may be submitted at a time |
| `--default-storage-provider azblob` | implied by `--az-batch` |
| `--default-storage-prefix az://CONTAINER/PREFIX` | where the workflow's files are; on the emulator `az://snakemake/FOLDER` if not given |
| `--container-image IMAGE` | the image of the tasks; on the emulator that of `make image` if not given |
| `--envvars NAME ...` | environment variables that the jobs get; they travel in the Batch job, not in a command line |
| `--retries N` | how often Snakemake submits a failed job again |
| `--seconds-between-status-checks N` | the longest pause between two polls; they come closer while jobs come and go |
| `--az-batch-upload` | instead of a run: store the inputs that lie here and not there ([storage.md](storage.md#bringing-files-there-and-back)) |
| `--az-batch-download [TARGET ...]` | instead of a run: fetch the results |
| `--az-batch-check [node]` | instead of a run: try what a run will need, with `node` one job from start to end as well ([azure.md](azure.md#try-it-first)) |
| `--az-batch-tail JOB` | instead of a run: what a running job prints, as it prints it ([azure.md](azure.md#a-look-into-a-job)) |
| `--az-batch-efficiency [FILE]` | instead of a run: what the newest run's rules asked for and used, and a profile for the next run ([azure.md](azure.md#what-tasks-have-used)) |
| `--az-batch-report FILE` | without `--az-batch`, instead of a run: the report of the newest run; with it, that of the run ([azure.md](azure.md#the-report)) |
| `--az-batch-journal FILE` | of which run both of them are, if not the newest |
| `--use-conda` | with an image whose base has conda; an environment is made once for each node, and kept in storage |
"""

RULES = """\
## Resources of a rule

| resource | meaning |
|---|---|
| `threads`, `mem_mb`, `disk_mb`, `gpu` (or `nvidia_gpu`) | the largest of their shares of a node, in task slots ([sizes.md](sizes.md)); the job gets the CPUs of its slots as `--cores` |
| `az_slots` | task slots of the job, instead |
| `az_vm_size` | VM size for this rule, or several; each size that is used gets a pool of its own |
| `az_spot` | how often a job may lose its Spot node before it goes to a dedicated one; 0: no Spot nodes |
| `runtime` | minutes after which Batch ends the task, staging included |

## Environment variables

| variable | meaning |
|---|---|
| `AZ_BATCH_ACCOUNT_URL` | the Batch account's URL, if not given as an option |
| `AZ_BATCH_ACCOUNT_KEY` | the Batch account's key; without it, Entra ID (`az login`, a managed identity, ...) |
| `AZ_BATCH_ACCOUNT_NAME` | the Batch account's name, where the URL does not begin with it |
| `AZ_BLOB_ACCOUNT_URL` | the storage account's URL, with or without a SAS |
| `AZ_BLOB_ACCOUNT_KEY`, `AZ_BLOB_CONNECTION_STRING` | its key, or URL and key in one ([all ways](storage.md)) |
| `AZ_BATCH_REGISTRY_USER`, `AZ_BATCH_REGISTRY_PASSWORD` | the login for a private registry ([pools.md](pools.md#a-private-registry)) |
| `SNAKEMAKE_AZ_BATCH_...` | any option of the executor but `--az-batch-report`, such as `SNAKEMAKE_AZ_BATCH_OS_DISK` |

## Options of the first fork

`--az-batch-config FILE` (and with it no `--az-batch`), `--default-remote-provider AzBlob`,
`--default-remote-prefix CONTAINER/PREFIX` and `--reason` are still understood. So are options and variables of Snakemake 7
and of the published plugin that mean the same: [migrating.md](migrating.md).
"""


def page() -> str:
    from snakemake.azure.blob.storage import StorageProviderSettings
    from snakemake.azure.settings import ExecutorSettings

    def table(settings, prefix, head):
        yield f"## {head}\n\n| option | default | meaning |\n|---|---|---|"
        for f in fields(settings):
            option = f"--{prefix}-{f.name.replace('_', '-')}"
            metavar = f" {f.metadata['metavar']}" if "metavar" in f.metadata else ""
            default = "" if f.default is None else f"`{f.default}`"
            text = re.sub(r"\s+", " ", f.metadata["help"]).replace("|", "\\|")
            yield f"| `{option}{metavar}` | {default} | {text} |"
        yield ""

    rows = [
        HEAD,
        *table(ExecutorSettings, "az-batch", "Options of the executor"),
        *table(StorageProviderSettings, "storage-azblob", "Options of the storage provider"),
        RULES,
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
