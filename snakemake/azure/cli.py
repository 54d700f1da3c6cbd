"""What the options stand for that the fork adds to Snakemake's parser (`snakemake.azure.arguments`).

Older names become current ones, commands are carried out, and what follows from running on Azure Batch is filled in. In
the tasks none of this is given, and nothing is imported.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from snakemake.azure import last_run, migration
from snakemake.azure.pool_settings import OWN_FORMULA
from snakemake.azure.secrets import HIDDEN, SHORTEST, remember, without_secrets

if TYPE_CHECKING:
    from snakemake.azure.blob.account import BlobAccount

EXECUTOR = "az-batch"
PROVIDER = "azblob"

SECRET_VARIABLES = (
    "AZ_BATCH_ACCOUNT_KEY",
    "AZ_BLOB_ACCOUNT_KEY",
    "AZ_BLOB_CREDENTIAL",
    "AZURE_CLIENT_SECRET",
)

_SECRET_NAME = re.compile(r"key|secret|token|passw|credential|connection-string")

_INSTEAD = {
    "--storage-azblob-account-url": "AZ_BLOB_ACCOUNT_URL, or SNAKEMAKE_STORAGE_AZBLOB_ACCOUNT_URL for several,",
    "--storage-azblob-account-key": "AZ_BLOB_ACCOUNT_KEY, or SNAKEMAKE_STORAGE_AZBLOB_ACCOUNT_KEY for several,",
    "--storage-azblob-connection-string": "AZ_BLOB_CONNECTION_STRING",
}


def apply_arguments(args: argparse.Namespace) -> None:
    """Turns older options into current ones and fills in what --az-batch implies. Changes `args`.

    Raises
    ------
    WorkflowError: options that contradict each other, or are missing or malformed.
    """
    last_run.place = None
    _apply_remote_names(args)
    _apply_storage_plugin(args)
    migration.apply_options(args)
    if args.az_batch_download:
        args.targets = {*(args.targets or ()), *args.az_batch_download}
    if getattr(args, "az_batch_spot", 0) is None:  # given without a number
        from snakemake.azure.settings import DEFAULT_SPOT_TRIES

        args.az_batch_spot = DEFAULT_SPOT_TRIES
    if args.az_batch_efficiency:
        from snakemake.azure.report.command import write_efficiency

        place = args.az_batch_journal or Path(args.directory or ".")
        write_efficiency(place, Path(args.az_batch_efficiency), print)
        if _given(getattr(args, "az_batch_report", None)):
            _write_report(args)
        sys.exit(0)
    if _given(getattr(args, "az_batch_report", None)):
        _prepare_report(args)
    if args.az_batch_sweep:
        sys.exit(_sweep(args))
    if args.az_batch_tail is not None:
        sys.exit(_tail(args))
    if args.az_batch_check:
        from snakemake.azure.check.node import substitute

        args.az_batch = True
        substitute(args)
    if args.az_batch or _given(getattr(args, "az_batch_config", None)):
        _choose_executor(args)
    if args.executor == EXECUTOR:
        _prepare_az_batch(args)
    if args.az_batch_check:
        sys.exit(_check(args))
    if args.executor == EXECUTOR or args.az_batch_upload:
        _look_here(args)


def hide_secrets(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Takes SAS, keys and passwords out of the command line that Snakemake prints, keeps in its log and hands to
    loggers, and says so when there was one: other users of the machine can read it there.
    """
    secrets = dict(_secrets(parser, args))
    remember(value for values in secrets.values() for value in values)
    remember(os.environ.get(name) for name in SECRET_VARIABLES)
    _, parsed = getattr(parser, "_source_to_settings", {}).get("command_line", {}).get("", (None, []))
    for option in [o for o, values in secrets.items() if any(v in text for v in values for text in parsed)]:
        print(
            f"{option} has a secret on the command line, where every user of this machine can read it while Snakemake "
            f"runs, and which the shell keeps: set {_INSTEAD.get(option, 'its environment variable')} instead.",
            file=sys.stderr,
        )
    for argv in (parsed, sys.argv):
        argv[:] = [_without(text, secrets) for text in argv]


def _secrets(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Options that may hold a credential, and those that they hold, however they were written.

    They are those that can be given by an environment variable, which is what plugins have for that; of other plugins,
    those whose name says so.
    """
    for action in parser._actions:
        if not (getattr(action, "env_var", None) and action.option_strings):
            continue
        given = getattr(args, action.dest, None)
        values = [v for v in (given if isinstance(given, list) else [given]) if isinstance(v, str) and v]
        bare = [value.partition("::")[2] if "::" in value else value for value in values]
        option = action.option_strings[-1]
        if option == "--storage-azblob-account-url":
            bare = [query for value in bare if (query := value.partition("?")[2])]
        elif not (option in _INSTEAD or _SECRET_NAME.search(option)):
            continue
        if bare:
            yield option, bare


def _without(text: str, secrets: dict[str, list[str]]) -> str:
    for value in (value for values in secrets.values() for value in values):
        # A short one, which is no key, would be found within other words.
        if len(value) >= SHORTEST or text == value or text.endswith((f"={value}", f"::{value}")):
            text = text.removesuffix(value) + HIDDEN if text.endswith(value) else text.replace(value, HIDDEN)
    return without_secrets(text)


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


def _apply_storage_plugin(args: argparse.Namespace) -> None:
    from snakemake_interface_storage_plugins.registry import StoragePluginRegistry

    if url := migration.apply_storage(args, os.environ, StoragePluginRegistry().plugins):
        os.environ["AZ_BLOB_ACCOUNT_URL"] = url


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

    from snakemake.azure import fetched_sources, parsing, pool_options, retry, settings, signals
    from snakemake.azure.batch.account import BatchAccount
    from snakemake.azure.preflight.image import container_image
    from snakemake.azure.preflight.options import validate
    from snakemake.azure.preflight.storage import blob_prefix, check_blob_access
    from snakemake.exceptions import WorkflowError

    if getattr(args, "az_batch_autoscale", "") is None:  # given without a value
        args.az_batch_autoscale = OWN_FORMULA
    migration.check_sdk()
    migration.apply_variables(args, os.environ, migration.warn)
    resolved = settings.resolve(ExecutorPluginRegistry().get_plugin(EXECUTOR).get_settings(args))
    validate(resolved)
    signals.listen()
    retry.process.seconds = resolved.patience * 60
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
    prefix = blob_prefix(args.default_storage_prefix)
    image = container_image(resolved, args.container_image)
    if emulator:
        _point_at_azurite()
    blobs = _blob_account(args)
    account = BatchAccount.resolve(resolved)
    pool_options.check(resolved, pool_options.definition(resolved, image, blobs), account)
    if not args.az_batch_check:
        check_blob_access(blobs, prefix)
    # What a run that died left half done is found by its record, or else by Snakemake's own, and is run again.
    args.rerun_incomplete = True
    last_run.place = last_run.Place(account, blobs, prefix, image)
    parsing.watch()
    fetched_sources.watch()


def _prepare_report(args: argparse.Namespace) -> None:
    """Of a run, the report is written at its end, wherever the working directory is by then; else it is all that is
    done."""
    if args.az_batch or args.executor == EXECUTOR or _given(getattr(args, "az_batch_config", None)):
        args.az_batch_report = Path(args.az_batch_report).resolve()
        return
    _write_report(args)
    sys.exit(0)


def _write_report(args: argparse.Namespace) -> None:
    from snakemake.azure.report.report_command import write_report

    write_report(args.az_batch_journal or Path(args.directory or "."), Path(args.az_batch_report), print)


def _check(args: argparse.Namespace) -> int:
    """Tries what a run needs; the exit code."""
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    from snakemake.azure import settings
    from snakemake.azure.check.command import check
    from snakemake.azure.check.service import Given

    resolved = settings.resolve(ExecutorPluginRegistry().get_plugin(EXECUTOR).get_settings(args))
    place = last_run.place
    assert place is not None, "the options have been prepared"
    given = Given(resolved, place.batch, place.blobs, place.prefix, place.image)
    return check(given, args.az_batch_check, print)


def _look_here(args: argparse.Namespace) -> None:
    """Input that lies on this disk and not in storage is told, or, if it is to be stored, counts as if it were there:
    from the moment on that the workflow is read, which may ask what there is."""
    from snakemake.azure.blob.here import Here
    from snakemake.azure.blob.storage import StorageProvider

    prefix = (args.default_storage_prefix or "").rstrip("/")
    StorageProvider.here = Here(prefix) if prefix else None
    StorageProvider.counts_here = args.az_batch_upload


def _sweep(args: argparse.Namespace) -> int:
    """Says, and deletes if told, what runs have left; the exit code."""
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    from snakemake.azure import settings
    from snakemake.azure.batch.account import BatchAccount
    from snakemake.azure.batch.client import Batch
    from snakemake.azure.preflight.options import validate
    from snakemake.azure.preflight.storage import blob_prefix
    from snakemake.azure.sweep import sweep

    resolved = settings.resolve(ExecutorPluginRegistry().get_plugin(EXECUTOR).get_settings(args))
    validate(resolved)
    if settings.is_emulator(resolved.account_url or ""):
        _point_at_azurite()
    prefixes = [blob_prefix(args.default_storage_prefix)] if args.default_storage_prefix else []
    batch = Batch(BatchAccount.resolve(resolved))
    try:
        return sweep(batch, _blob_account(args), prefixes, args.az_batch_sweep == "delete", print)
    finally:
        batch.close()


def _tail(args: argparse.Namespace) -> int:
    """Follows a task; the exit code."""
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    from snakemake.azure import settings
    from snakemake.azure.tail.command import tail

    resolved = settings.resolve(ExecutorPluginRegistry().get_plugin(EXECUTOR).get_settings(args))
    folder, prefix = Path(args.directory or "."), args.default_storage_prefix
    return tail(args.az_batch_tail, resolved, folder, prefix, lambda: _blob_account(args), _point_at_azurite)


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
