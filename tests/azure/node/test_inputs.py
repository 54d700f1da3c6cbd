"""A task's input files are those that the client has counted."""

import pytest
from snakemake.io import AnnotatedString, IOFile, flag
from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.node.inputs import compare, input_names, job_key, summary

WILDCARDS = {"b": "2", "a": "1"}


def test_the_order_of_files_and_wildcards_does_not_matter():
    expected = {job_key("rule", dict(sorted(WILDCARDS.items()))): summary(["y", "x"])}
    compare(expected, "rule", WILDCARDS, ["x", "y"])


@pytest.mark.parametrize("found", [[], ["x"], ["x", "z"], ["x", "y", "y"]])
def test_other_files_are_told(found):
    expected = {job_key("rule", WILDCARDS): summary(["x", "y"])}
    with pytest.raises(
        WorkflowError, match=rf"Rule rule has other input files .*: {len(found)} .* instead of 2"
    ):
        compare(expected, "rule", WILDCARDS, found)


def test_a_job_that_was_not_counted_is_not_compared():
    compare({}, "rule", WILDCARDS, ["x"])


def test_names_do_not_depend_on_the_machine():
    cached = flag(AnnotatedString("/home/me/.cache/x/table.tsv"), "sourcecache_entry", "/home/me/table.tsv")
    assert input_names([IOFile("a/b.txt"), IOFile(cached)]) == ["a/b.txt", "table.tsv"]
