"""What `--az-batch` and the older options stand for, as the parser and `apply_arguments` make of them."""

import os

import pytest
import snakemake.cli
from snakemake.exceptions import WorkflowError

from snakemake.azure import cli, last_run, preflight


@pytest.fixture
def parse(monkeypatch, tmp_path):
    """Parses a command line as Snakemake does; the one request that follows is left to the tests of whole runs."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith(("AZ_", "AZURE_", "SNAKEMAKE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(preflight, "check_blob_access", lambda account, prefix: None)
    monkeypatch.setattr(last_run, "place", None)
    # What apply_arguments sets for the emulator goes when the test ends.
    for name in ("AZ_BLOB_ACCOUNT_URL", "AZ_BLOB_ACCOUNT_KEY"):
        monkeypatch.setenv(name, "")

    def parse(line):
        args = snakemake.cli.get_argument_parser().parse_args(line.split())
        cli.apply_arguments(args)
        return args

    return parse


def test_nothing_changes_without_it(parse):
    args = parse("--cores 1")
    assert (args.executor, args.default_storage_provider, args.default_storage_prefix) == (None, None, "")
    assert not os.environ["AZ_BLOB_ACCOUNT_URL"]


def test_on_the_emulator_nothing_else_is_needed(parse, tmp_path):
    args = parse("--az-batch --az-batch-account-url emulator --jobs 4")
    assert args.executor == "az-batch"
    assert args.default_storage_provider == "azblob"
    assert args.default_storage_prefix == f"az://snakemake/{tmp_path.name.replace('.', '-')}"
    assert os.environ["AZ_BLOB_ACCOUNT_URL"].startswith("http://127.0.0.1:10000/")


def test_the_environments_storage_account_is_left_alone(parse, monkeypatch):
    monkeypatch.setenv("AZ_BLOB_ACCOUNT_URL", "https://acct.blob.core.windows.net")
    parse("--az-batch --az-batch-account-url emulator --jobs 4")
    assert os.environ["AZ_BLOB_ACCOUNT_URL"] == "https://acct.blob.core.windows.net"


def test_executor_by_name_is_the_same(parse):
    args = parse("--executor az-batch --az-batch-account-url emulator --jobs 4")
    assert args.default_storage_provider == "azblob"


def test_older_names(parse):
    args = parse("--cores 1 --default-remote-provider AzBlob --default-remote-prefix container/path --reason")
    assert (args.default_storage_provider, args.default_storage_prefix) == ("azblob", "az://container/path")


@pytest.mark.parametrize(
    "line, says",
    [
        ("--default-remote-prefix c --default-storage-prefix az://c", "--default-remote-prefix"),
        ("--default-remote-provider AzBlob --default-storage-provider fs", "contradict"),
        ("--az-batch --executor local --jobs 1", "contradict"),
        ("--az-batch --az-batch-account-url emulator --default-storage-provider fs --jobs 1", "azblob"),
    ],
)
def test_contradictions(parse, line, says):
    with pytest.raises(WorkflowError, match=says):
        parse(line)


def test_a_task_parses_its_options_without_any_of_this(parse):
    args = parse(
        "--mode remote --cores 1 --default-storage-provider azblob --default-storage-prefix az://c/p"
    )
    assert args.executor is None


@pytest.mark.parametrize(
    "line",
    [
        "--storage-azblob-account-key c2VjcmV0 --storage-azblob-account-url https://a.blob.core.windows.net?sv=1&sig=secret%3D",
        "--storage-azblob-account-key=c2VjcmV0",
        "--storage-azblob-connection-string AccountName=a;AccountKey=c2VjcmV0;BlobEndpoint=https://a/",
        "--storage-azblob-connection-string=BlobEndpoint=https://a/;SharedAccessSignature=sv=1&sig=secret",
    ],
)
def test_the_printed_command_line_holds_no_secret(line):
    parser = snakemake.cli.get_argument_parser()
    args = parser.parse_args(["--cores", "1", *line.split()])
    cli.hide_secrets(parser)
    command = snakemake.cli.generate_parser_metadata(parser, args)["command"]
    assert "c2VjcmV0" not in command and "secret" not in command
    assert "***" in command and line.partition(" ")[0].partition("=")[0] in command
