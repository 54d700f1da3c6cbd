"""The arguments for a node arrive as they were, whatever characters they hold."""

import shlex
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_executor_plugins.utils import format_cli_arg, join_cli_args

from snakemake.azure.node.arguments import read_targets, split_arguments, target_arguments, without

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.lists(text.filter(lambda s: not (s[0] in "'\"" and s[-1] == s[0])), min_size=1))
def test_what_snakemake_writes_is_read_back(values):
    """A value that has quotes around it already is left to Snakemake, which takes them for its own."""
    written = join_cli_args(["--force", format_cli_arg("--config", values), "--nocolor"])
    assert split_arguments(written) == ["--force", "--config", *values, "--nocolor"]


def test_backslashes_and_quotes():
    values = [r"regex=\d+\.txt", "it's", 'say "so"', """both ' and " """, "$HOME `x` ünd\n"]
    assert split_arguments(format_cli_arg("--config", values)) == ["--config", *values]


def test_words_that_are_quoted_for_a_shell():
    paths = [Path("/opt/conda"), Path("/a b/c"), Path("/it's/d e")]
    written = join_cli_args([format_cli_arg("--conda-prefix", path) for path in paths])
    assert split_arguments(written) == shlex.split(written)
    assert split_arguments("--allowed-rules a b --cores 4") == ["--allowed-rules", "a", "b", "--cores", "4"]


def test_without_an_option_and_its_values():
    argv = ["--a", "--b", "1", "2", "--c", "3"]
    assert without(argv, "--b") == ["--a", "--c", "3"]
    assert without(argv, "--c") == ["--a", "--b", "1", "2"]
    assert without(argv, "--a") == argv[1:]
    assert without(argv, "--d") == argv


@given(st.lists(st.tuples(st.from_regex(r"[a-z_]\w*", fullmatch=True), st.dictionaries(text, text))))
def test_targets(targets):
    assert read_targets(target_arguments(targets)[1:]) == targets
    assert read_targets(None) == []
