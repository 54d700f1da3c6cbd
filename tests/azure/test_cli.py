"""What `--az-batch` and the older options stand for, as the parser and `apply_arguments` make of them."""

import base64
import hashlib
import os
import sys

import pytest
import snakemake.cli
from snakemake.exceptions import WorkflowError

from snakemake.azure import cli, last_run
from snakemake.azure.preflight import storage


@pytest.fixture
def parse(monkeypatch, tmp_path):
    """Parses a command line as Snakemake does; the one request that follows is left to the tests of whole runs."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith(("AZ_", "AZURE_", "SNAKEMAKE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(storage, "check_blob_access", lambda account, prefix: None)
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


KEY, OTHER = "c2VjcmV0", base64.b64encode(hashlib.sha512(b"key").digest()).decode()
URL = "https://a.blob.core.windows.net"


@pytest.mark.parametrize(
    "line",
    [
        ["--storage-azblob-account-key", KEY, "--storage-azblob-account-url", f"{URL}?sv=1&sig={KEY}%3D"],
        [f"--storage-azblob-account-key={KEY}"],
        ["--storage-azblob-account-key", f"a::{KEY}", f"b::{OTHER}", f"tag::{KEY}{KEY}"],
        ["--storage-azblob-account-k", KEY],
        [f"--storage-azblob-account-k=a::{OTHER}"],
        ["--storage-azblob-connection-string", f"AccountName=a;AccountKey={KEY};BlobEndpoint=https://a/"],
        [
            "--storage-azblob-connection-string",
            f"t::AccountName=a; AccountKey = {KEY} ;BlobEndpoint=https://a/",
        ],
        [f"--storage-azblob-conn=BlobEndpoint=https://a/;SharedAccessSignature=sv=1&sig={KEY}"],
        ["--storage-azblob-account-url", f"a::{URL}?sig={KEY}", f"b::{URL}?se=x&sig={OTHER}"],
    ],
)
def test_the_printed_command_line_holds_no_secret(line, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["snakemake", "--cores", "1", *line])
    parser = snakemake.cli.get_argument_parser()
    args = parser.parse_args(sys.argv[1:])
    cli.hide_secrets(parser, args)
    for command in (
        snakemake.cli.generate_parser_metadata(parser, args)["command"],
        " ".join(sys.argv),
        said := capsys.readouterr().err,
    ):
        assert KEY not in command and OTHER not in command
        if command is not said:
            assert "***" in command and line[0].partition("=")[0] in command
    assert "on the command line" in said and "AZ_BLOB_" in said


def test_nothing_is_said_of_secrets_in_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("SNAKEMAKE_STORAGE_AZBLOB_ACCOUNT_KEY", OTHER)
    monkeypatch.setattr(sys, "argv", ["snakemake", "--cores", "1"])
    parser = snakemake.cli.get_argument_parser()
    cli.hide_secrets(parser, parser.parse_args(sys.argv[1:]))
    assert capsys.readouterr().err == "" and sys.argv == ["snakemake", "--cores", "1"]


@pytest.mark.parametrize(
    "line, says",
    [
        ("--az-batch-nodes " + KEY, "--az-batch-nodes must be a whole number."),
        ("--az-batch-nodx " + KEY, "There is no option --az-batch-nodx"),
        ("--storage-azblob-account=" + KEY, "--storage-azblob-account"),
        ("--az-batch-vm-size", "--az-batch-vm-size: expected one argument."),
    ],
)
def test_slips_in_our_options_are_one_sentence_without_the_value(line, says, capsys):
    with pytest.raises(SystemExit) as end:
        snakemake.cli.get_argument_parser().parse_args(line.split())
    said = capsys.readouterr().err
    assert end.value.code == 1 and says in said and said.count("\n") == 1 and KEY not in said


def test_other_slips_are_told_as_ever(capsys):
    with pytest.raises(SystemExit) as end:
        snakemake.cli.get_argument_parser().parse_args(["--cores", "1", "--no-such-option"])
    assert end.value.code == 2 and "usage:" in capsys.readouterr().err
