"""Command-line options that the fork adds to Snakemake's parser: the switch `--az-batch`, commands that run in place of
a workflow, and the options of the first Azure Batch fork (Snakemake 5). What they stand for is in
`snakemake.azure.cli`; the executor's own options, `--az-batch-*`, are generated from `snakemake.azure.settings`.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NoReturn

from snakemake.azure import migration
from snakemake.azure.secrets import without_secrets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _one_sentence(parser)
    group = parser.add_argument_group("AZURE BATCH")
    group.add_argument(
        "--az-batch",
        action="store_true",
        help="Run each job as a task of Azure Batch, in a container (same as --executor az-batch). Needs "
        "--az-batch-account-url, --default-storage-prefix az://CONTAINER/PREFIX and --container-image.",
    )
    group.add_argument(
        "--az-batch-sweep",
        nargs="?",
        const="list",
        choices=["list", "delete"],
        help="List what runs that are over have left in the Batch account (pools, Batch jobs) and beside their files "
        "in storage, by run, with age and cost so far; with 'delete', delete it. What belongs to a run that goes on is "
        "never touched. Needs no workflow; with --default-storage-prefix also finds what has no pool any more.",
    )
    group.add_argument(
        "--az-batch-check",
        nargs="?",
        const="service",
        choices=["service", "node"],
        help="Instead of a run: try with the other options what can be tried without a node (logins, quotas, images, "
        "storage, the SAS of tasks, whether Batch takes the pool, a job and a task), and show each step with its time. "
        "With 'node', also one node and one small job from start to end. Needs no workflow; what it makes is deleted.",
    )
    group.add_argument(
        "--az-batch-tail",
        metavar="JOB",
        help="Follow what a running job prints, as its node has it, until it ends. JOB is a rule with its wildcards "
        "(RULE:NAME=VALUE,NAME=VALUE; RULE alone, if one job of it runs), a task's id, or an output file. Finds the "
        "run by this working directory, or from another machine by --default-storage-prefix. The exit code is 0 if the "
        "job succeeds; Ctrl-C ends only the looking. Needs no workflow.",
    )
    group.add_argument(
        "--az-batch-efficiency",
        nargs="?",
        const="profile.yaml",
        metavar="FILE",
        help="Show, from the journal of the newest run in this directory, what each rule asked for and what its jobs "
        "used (threads, mem_mb, runtime), what that cost, and what would have been enough; and write that into FILE "
        "(default: profile.yaml), a profile with set-threads and set-resources for the next run. Needs no workflow and "
        "asks nobody.",
    )
    group.add_argument(
        "--az-batch-journal",
        metavar="FILE",
        type=Path,
        help="The run that --az-batch-efficiency, and --az-batch-report without --az-batch, are about, by its journal "
        "(.snakemake/azure_batch/RUN.jsonl); if not given, the newest run in this directory.",
    )
    group.add_argument(
        "--default-remote-provider",
        metavar="AzBlob",
        choices=["AzBlob"],
        help="Older name: AzBlob means --default-storage-provider azblob.",
    )
    group.add_argument(
        "--default-remote-prefix",
        metavar="CONTAINER[/PREFIX]",
        help="Older name of --default-storage-prefix, without az://.",
    )
    group.add_argument(
        "-r",
        "--reason",
        action="store_true",
        help="Accepted for older command lines: reasons are always printed.",
    )

    group.add_argument(
        "--az-batch-upload",
        action="store_true",
        help="Instead of a run: store the input files that no rule makes, from the working directory, under the "
        "default storage prefix; those that are not there yet or older there. With -n, say which.",
    )
    group.add_argument(
        "--az-batch-download",
        nargs="*",
        metavar="TARGET",
        help="Instead of a run: fetch the output of the targets (default: as for a run) from the default storage "
        "prefix into the working directory, what is not here yet or older here. With -n, say which.",
    )
    _add_older(parser)


def _add_older(parser: argparse.ArgumentParser) -> None:
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
    from snakemake_interface_storage_plugins.registry import StoragePluginRegistry

    migration.add_arguments(parser, ExecutorPluginRegistry().plugins)
    migration.add_storage_arguments(parser, StoragePluginRegistry().plugins)


def _one_sentence(parser: argparse.ArgumentParser) -> None:
    """Slips in our own options are told as all others are, by one sentence and exit code 1, without a value, which may
    be a secret in the wrong place; argparse puts its list of all options before it.
    """
    fails = parser.error

    def error(message: str) -> NoReturn:
        if wrong := re.match(
            r"argument ((?:--\S+/)*--(?:az-batch|azure-batch|storage-azblob)[\w-]*): invalid int value",
            message,
        ):
            message = f"{wrong[1]} must be a whole number."
        elif unknown := re.findall(r"(?<=\s)--(?:az-batch|azure-batch|storage-azblob)[\w-]*", message):
            if message.startswith("unrecognized arguments"):
                message = f"There is no option {unknown[0]}; snakemake --help lists them."
            elif message.startswith("ambiguous option"):
                message = f"Several options begin like {unknown[0]}; write out which one is meant."
            else:
                message = f"{message.removeprefix('argument ').rstrip('.')}."
        else:
            fails(without_secrets(message))
        print(without_secrets(message), file=sys.stderr)
        sys.exit(1)

    parser.error = error  # type: ignore[method-assign]
