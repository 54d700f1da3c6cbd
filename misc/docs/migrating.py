"""Writes docs/migrating.md, whose tables are those of snakemake.azure.migration: `python misc/docs/migrating.py`.

A test holds the file against what this prints.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "migrating.md"

# ruff: noqa: E501  (the lines of tables)

HEAD = """\
# Coming from elsewhere

<!-- Written by misc/docs/migrating.py; its tables are those of snakemake/azure/migration.py. -->

For those who ran Snakemake on Azure Batch before: with the first fork of 2020, with Snakemake 7, or with the published
executor plugin. What means the same is understood under its old name. What has no counterpart is told before the run:
an option in one sentence that ends the run, a variable, which may be there for other programs, in a warning.

Common to all three:

| then | now |
|---|---|
| `--container-image snakemake/snakemake` | an image of your own with this Snakemake in it ([build one](azure.md#4-build-and-push-the-image)); upstream's is refused |
| inputs were uploaded by hand | `--az-batch-upload`, and `--az-batch-download` for results ([storage.md](storage.md#bringing-files-there-and-back)) |
| a pool of a fixed size, one node by default | a pool has the nodes that the work needs, up to `--az-batch-nodes` (10) |
| one task on a node by default | as many as the slots of a node, by `threads` and `mem_mb`; `--az-batch-slots-per-node 1` for one |
| tasks install what they need when they start | the image has it all |

## The first fork (2020, Snakemake 5)

| old | now | what differs |
|---|---|---|
| `--default-remote-provider AzBlob` | the same, or `--default-storage-provider azblob` | implied by `--az-batch` |
| `--default-remote-prefix CONTAINER/PREFIX` | the same, or `--default-storage-prefix az://CONTAINER/PREFIX` | |
| `--az-batch-config FILE` | the same, or `--az-batch-account-url`, `--az-batch-nodes`, `--az-batch-vm-size` and `AZ_BATCH_ACCOUNT_KEY` | options and variables win over the file |
| `--envvars AZ_BLOB_ACCOUNT_URL` | not needed | tasks get a SAS of their own, which ends with the run |
| `--reason` | the same | reasons are always printed |
| `AzBlob.RemoteProvider()` in a Snakefile | `storage.azblob("az://CONTAINER/PATH")` | |

What its author left open, and the test that shows it closed:

| then | now | test |
|---|---|---|
| parameters come from a YAML file | options, of which each can stand in the environment, a profile and `--az-batch-config` | `tests/executor/test_pool_options.py::test_options_stand_in_a_profile_in_the_config_file_and_in_the_environment` |
| autoscaling never leaves 0 | the client sizes pools by the work, to 0 and back | `tests/executor/test_sizes.py::test_a_pool_has_no_nodes_while_only_the_client_works_and_then_some_again` |
| | or the service does, by `--az-batch-autoscale` | `tests/executor/test_pool_options.py::test_the_service_sizes_a_pool_from_its_first_nodes_on` |
| sources stay in blob storage | nothing stays | `tests/executor/test_runs.py::test_a_whole_workflow` |
| | also after an interrupt | `tests/executor/test_interrupts.py::test_while_a_finished_job_is_processed` |
| one job on a node at a time | as many as its slots | `tests/executor/test_runs.py::test_tasks_share_nodes_by_their_slots` |
| Batch tries each task twice more | `--az-batch-task-retries`, and Snakemake's own `retries` | `tests/executor/test_odd_workflows.py::test_batch_itself_repeats_a_task` |
| many places marked FIXME | none | `tests/docs/test_open_ends.py::test_no_place_is_marked` |
| untested: disks of the node in containers | `TMPDIR` and all that a task writes lie on the node's temporary disk | `tests/executor/test_scratch.py` |
| | `--az-batch-os-disk`, `--az-batch-data-disk`, `--az-batch-docker-data` | `tests/executor/test_pool_options.py::test_disks_registry_container_options_and_tags` |
| untested: Spot nodes | `--az-batch-spot`: so many tries there, then dedicated ones | `tests/executor/test_capacity.py::test_spot_nodes_then_dedicated_ones` |

## Snakemake 7

The line of its documentation works as it is, but for the image:

    snakemake --jobs 3 -rpf --verbose --default-remote-prefix CONTAINER --use-conda --default-remote-provider AzBlob \\
        --envvars AZ_BLOB_ACCOUNT_URL --az-batch --container-image REGISTRY/IMAGE --az-batch-account-url URL

With `--use-conda`, the image's base needs conda ([misc/docker](../misc/docker/README.md)).

"""

PLUGIN = """\
## The executor plugin and its storage plugin

snakemake-executor-plugin-azure-batch 0.3.0 and this Snakemake need different versions of azure-batch: remove the plugin,
or keep it in another environment. `--executor azure-batch` then means `--executor az-batch`.

"""

STORAGE = """\
Of snakemake-storage-plugin-azure:

| old | now | what differs |
|---|---|---|
| `--default-storage-provider azure` | the same, or `azblob` | if the plugin is installed as well, `azure` is the plugin |
| `--default-storage-prefix az://CONTAINER/PREFIX` | the same | |
| `{option}`, `{variable}` | the same, or `AZ_BLOB_ACCOUNT_URL` as `https://ACCOUNT.blob.core.windows.net` | a SAS, a key and a connection string are possible, too ([all ways](storage.md)) |
| `storage.azure(...)` in a Snakefile | `storage.azblob(...)` | |
"""


def table(olders: Iterable, kind: str) -> Iterator[str]:
    yield f"| {kind} | now | |\n|---|---|---|"
    for older in olders:
        if older.now:
            now, says = f"`{older.now}`", older.says
        else:
            now, says = ("not needed" if older.needless else "no counterpart"), older.says
        yield f"| `{older.name}` | {now} | {says} |"
    yield ""


def page() -> str:
    from snakemake.azure import migration

    storage = STORAGE.format(option=migration.STORAGE_OPTION, variable=migration.STORAGE_VARIABLE)
    rows = [
        *table(migration.V7_OPTIONS, "option"),
        *table(migration.V7_VARIABLES, "variable"),
        PLUGIN,
        *table(migration.PLUGIN_OPTIONS, "option"),
        *table(migration.PLUGIN_VARIABLES, "variable"),
    ]
    return HEAD + "\n".join(rows) + "\n" + storage


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
