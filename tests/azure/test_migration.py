"""Older options and variables: what they are taken for, and what is told of the rest."""

import argparse
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest
from snakemake.cli import get_argument_parser

from snakemake.azure import cli, migration, settings
from snakemake.azure.migration import MigrationError

ALL = (*migration.V7_OPTIONS, *migration.PLUGIN_OPTIONS)
VARIABLES = (*migration.V7_VARIABLES, *migration.PLUGIN_VARIABLES)
IMAGE = {"PUBLISHER": "p", "OFFER": "o", "SKU": "s"}
VALUES = {migration.NODES: "3", migration.SLOTS: "2", migration.URL: "http://127.0.0.1:9"}


def given(args: argparse.Namespace, option: str) -> str:
    value = getattr(args, option[2:].replace("-", "_"))
    return value[0] if option == migration.IDENTITY else str(value)


def parse(*line: str) -> argparse.Namespace:
    args = get_argument_parser().parse_args([*line, "--jobs", "1"])
    migration.apply_options(args)
    return args


def variables(args: argparse.Namespace, **environ: str) -> list[str]:
    said: list[str] = []
    migration.apply_variables(args, environ, said.append)
    return said


@pytest.mark.parametrize("older", [o for o in ALL if o.now != migration.OS_IMAGE], ids=lambda o: o.name)
def test_each_option_is_taken_or_told(older):
    line = [older.name] if older.is_flag else [older.name, VALUES.get(older.now, "some")]
    if older.now is None and not older.needless:
        with pytest.raises(MigrationError, match=f"^{older.name} has no counterpart here: .*\\.$"):
            parse(*line)
        return
    args = parse(*line)
    if older.now:
        value = older.value or line[1]
        assert given(args, older.now) == value
        with pytest.raises(MigrationError, match=f"{older.name} is the older name of {older.now}"):
            parse(*line, older.now, value)


def test_an_image_is_one_value():
    names = ("publisher", "offer", "sku")
    three = [text for name in names for text in (f"--azure-batch-pool-image-{name}", name[0])]
    assert parse(*three).az_batch_os_image == "p:o:s"
    with pytest.raises(
        MigrationError, match="-publisher goes together with --azure-batch-pool-image-offer and"
    ):
        parse(*three[:2])


def test_the_documented_line_of_snakemake_7():
    args = parse(
        *[
            "-rpf",
            "--verbose",
            "--default-remote-prefix",
            "box",
            "--use-conda",
            "--default-remote-provider",
            "AzBlob",
        ],
        *["--envvars", "AZ_BLOB_ACCOUNT_URL", "--az-batch", "--az-batch-account-url", "http://127.0.0.1:9"],
    )
    assert args.reason and args.printshellcmds and args.force and args.az_batch


def test_the_plugins_executor_is_ours():
    assert parse("--executor", "azure-batch").executor == cli.EXECUTOR


@pytest.mark.parametrize("older", [o for o in VARIABLES if o.now != migration.OS_IMAGE], ids=lambda o: o.name)
def test_each_variable_is_read_or_named(older):
    args = parse()
    said = variables(args, **{older.name: VALUES.get(older.now, "secret7some")})
    if older.now:
        assert given(args, older.now) == VALUES.get(older.now, "secret7some")
        assert said == [f"{older.name}: taken as {older.now}."]
    else:
        assert said == ([] if older.needless else [f"{older.name}: not read; {older.says}"])
    assert "secret7some" not in str(said)


def test_options_win_over_variables_and_a_pool_has_its_own_size():
    args = parse("--az-batch-vm-size", "Standard_D8s_v5")
    assert variables(args, BATCH_POOL_VM_SIZE="Standard_A1_v2") == []
    assert args.az_batch_vm_size == "Standard_D8s_v5"
    args = parse("--az-batch-pool-id", "mine")
    (said,) = variables(args, BATCH_POOL_NODE_COUNT="3")
    assert said.startswith("BATCH_POOL_NODE_COUNT: not read, since --az-batch-pool-id")


def test_one_vm_at_a_time_is_what_pack_is_not():
    assert parse("--azure-batch-node-fill-type", "pack")
    assert variables(parse(), BATCH_NODE_FILL_TYPE="pack") == []


@pytest.mark.parametrize("value, shown", [("three", True), ("Canary7CanaryCanary", False)])
def test_numbers_are_shown_unless_they_could_be_secrets(value, shown, tmp_path):
    with pytest.raises(MigrationError, match="^BATCH_POOL_NODE_COUNT") as error:
        variables(parse(), BATCH_POOL_NODE_COUNT=value)
    assert (value in str(error.value)) is shown
    (tmp_path / "batch.yaml").write_text(f"BATCH_POOL_NODE_COUNT: {value}\n")
    with pytest.raises(settings.SettingsError, match="^BATCH_POOL_NODE_COUNT") as error:
        settings.read_legacy_config(tmp_path / "batch.yaml")
    assert (value in str(error.value)) is shown


@pytest.mark.parametrize("name, url", [("acct", "https://acct.blob.core.windows.net"), ("A_B", None)])
def test_the_storage_plugins_account(name, url):
    args = parse("--default-storage-provider", "azure", migration.STORAGE_OPTION, name)
    if url is None:
        with pytest.raises(MigrationError, match="is not the name of a storage account"):
            migration.apply_storage(args, {}, {})
        return
    assert migration.apply_storage(args, {}, {}) == url
    assert args.default_storage_provider == "azblob"
    assert migration.apply_storage(args, {"AZ_BLOB_ACCOUNT_URL": "https://other"}, {}) is None


def installed(number: str):
    def version(_: str) -> str:
        if not number:
            raise PackageNotFoundError
        return number

    return version


def test_the_plugin_beside_us(tmp_path):
    """The real command line, with a package of that name which does as the plugin does."""
    package = tmp_path / "snakemake_executor_plugin_azure_batch"
    package.mkdir()
    (package / "__init__.py").write_text("import azure.batch._batch_service_client\n")
    run = [sys.executable, "-m", "snakemake", "--version"]
    done = subprocess.run(run, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (said,) = done.stderr.strip().splitlines()
    assert said.startswith(f"{migration.PLUGIN} cannot be loaded with azure-batch 15.")


def test_an_older_sdk():
    migration.check_sdk(installed("15.1.0"))
    migration.check_sdk(installed(""))
    with pytest.raises(MigrationError, match="needs azure-batch 15 or later, and 14.2.0 is installed"):
        migration.check_sdk(installed("14.2.0"))
    migration.check_installed(lambda _: object(), installed("14.2.0"))


def test_a_registry_may_be_given_as_a_url():
    assert (
        parse("--azure-batch-container-registry-url", "https://me.azurecr.io/x").az_batch_registry
        == "me.azurecr.io"
    )


def test_the_plugins_line_with_a_private_registry_an_identity_and_a_subnet():
    args = parse(
        *["--executor", "azure-batch", "--azure-batch-keep-pool", "--azure-batch-subscription-id", "s"],
        *["--azure-batch-managed-identity-resource-id", "/id", "--azure-batch-pool-subnet-id", "/net"],
    )
    assert (args.az_batch_keep_pool, args.az_batch_identity, args.az_batch_subnet_id) == (60, ["/id"], "/net")
