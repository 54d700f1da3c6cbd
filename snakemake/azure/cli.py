"""Command-line options that the fork adds to Snakemake's parser, and what they stand for.

The executor's own options, `--az-batch-*`, are generated from `snakemake.azure.settings`. Here are the switch
`--az-batch`, the options of the first Azure Batch fork (Snakemake 5), and the defaults that follow from running on
Azure Batch. In the tasks none of this is given, and nothing is imported.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount

EXECUTOR = "az-batch"
PROVIDER = "azblob"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("AZURE BATCH")
    group.add_argument(
        "--az-batch",
        action="store_true",
        help="Run each job as a task of Azure Batch, in a container (same as --executor az-batch). Needs "
        "--az-batch-account-url, --default-storage-prefix az://CONTAINER/PREFIX and --container-image.",
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
        "--reason",
        action="store_true",
        help="Accepted for older command lines: reasons are always printed.",
    )


def apply_arguments(args: argparse.Namespace) -> None:
    """Turns older options into current ones and fills in what --az-batch implies. Changes `args`.

    Raises
    ------
    WorkflowError: options that contradict each other, or are missing or malformed.
    """
    _apply_remote_names(args)
    if args.az_batch or _given(getattr(args, "az_batch_config", None)):
        _choose_executor(args)
    if args.executor == EXECUTOR:
        _prepare_az_batch(args)


def hide_secrets(parser: argparse.ArgumentParser) -> None:
    """Takes SAS and keys out of the command line that Snakemake prints, keeps in its log and hands to loggers."""
    _, parsed = getattr(parser, "_source_to_settings", {}).get("command_line", {}).get("", (None, []))
    for argv in (parsed, sys.argv):
        argv[:] = list(_without_secrets(argv))


def _without_secrets(argv: list[str]) -> Iterator[str]:
    key, before = "--storage-azblob-account-key", ""
    for text in argv:
        if before == key:
            yield "***"
        elif text.startswith(f"{key}="):
            yield f"{key}=***"
        else:
            yield re.sub(r"(?i)\b(sig=|AccountKey=|SharedAccessSignature=)[^&;\s]+", r"\1***", text)
        before = text


def _given(value: object) -> bool:
    """The plugins' options default to a dataclass marker, not to None."""
    return isinstance(value, str | os.PathLike) and bool(value)


def _apply_remote_names(args: argparse.Namespace) -> None:
    from snakemake.exceptions import WorkflowError

    if args.default_remote_provider:
        if args.default_storage_provider not in (None, PROVIDER):
            raise WorkflowError(
                "--default-remote-provider AzBlob and --default-storage-provider "
                f"{args.default_storage_provider} contradict each other: give one of them."
            )
        args.default_storage_provider = PROVIDER
    if args.default_remote_prefix:
        if args.default_storage_prefix:
            raise WorkflowError(
                "--default-remote-prefix is the older name of --default-storage-prefix: give one."
            )
        args.default_storage_prefix = f"az://{args.default_remote_prefix.removeprefix('az://')}"
        args.default_storage_provider = args.default_storage_provider or PROVIDER


def _choose_executor(args: argparse.Namespace) -> None:
    from snakemake.exceptions import WorkflowError

    if args.executor not in (None, EXECUTOR):
        raise WorkflowError(
            f"--az-batch and --executor {args.executor} contradict each other: give one of them."
        )
    args.executor = EXECUTOR


def _prepare_az_batch(args: argparse.Namespace) -> None:
    """Checks the executor's options and gives the storage options their defaults, before the workflow is read:
    an account that is missing or does not answer should not first show as a missing input file."""
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    from snakemake.azure import parsing, preflight, settings
    from snakemake.azure.batch.account import BatchAccount
    from snakemake.exceptions import WorkflowError

    resolved = settings.resolve(ExecutorPluginRegistry().get_plugin(EXECUTOR).get_settings(args))
    preflight.validate(resolved)
    BatchAccount.resolve(resolved)
    emulator = settings.is_emulator(resolved.account_url or "")
    if args.default_storage_provider not in (None, PROVIDER):
        raise WorkflowError(
            f"Azure Batch runs need Azure Blob Storage: set --default-storage-provider {PROVIDER} instead of "
            f"{args.default_storage_provider}."
        )
    args.default_storage_provider = PROVIDER
    if not args.default_storage_prefix and emulator:
        args.default_storage_prefix = f"az://snakemake/{_folder_name(args)}"
    if not args.default_storage_prefix:
        raise WorkflowError(
            "The place for the workflow's files is missing: give --default-storage-prefix az://CONTAINER/PREFIX."
        )
    prefix = preflight.blob_prefix(args.default_storage_prefix)
    preflight.container_image(resolved, args.container_image)
    if emulator:
        _point_at_azurite()
    preflight.check_blob_access(_blob_account(args), prefix)
    parsing.watch()


def _blob_account(args: argparse.Namespace) -> "BlobAccount":
    """The storage account that the workflow's files will be in."""
    from snakemake_interface_storage_plugins.registry import StoragePluginRegistry

    from snakemake.azure.blob.account import BlobAccount

    given = StoragePluginRegistry().get_plugin(PROVIDER).get_settings(args).get_settings()
    return BlobAccount.resolve(given.account_url, given.account_key, given.connection_string)


def _folder_name(args: argparse.Namespace) -> str:
    name = Path(args.directory or Path.cwd()).resolve().name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "workflow"


def _point_at_azurite() -> None:
    """With the Batch emulator, blobs are in the local Azurite unless the environment names an account."""
    from snakemake.azure.blob import account

    names = (account.ACCOUNT_URL, *account.CONNECTION_STRINGS)
    if not any(os.environ.get(name) for name in names):
        os.environ[account.ACCOUNT_URL] = account.AZURITE_URL
        os.environ[account.ACCOUNT_KEY] = account.AZURITE_KEY
