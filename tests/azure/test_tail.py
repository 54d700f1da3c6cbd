"""Which job is meant, and what of its logs is shown."""

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.batch.ids import display_name
from snakemake.azure.batch.listed_tasks import ListedTask
from snakemake.azure.tail.wanted import Wanted, task_of_output


def named(rule, **wildcards):
    return ListedTask("id", name=display_name(rule, wildcards))


@pytest.mark.parametrize(
    "text, rule, wildcards, fits",
    [
        ("map", "map", {"sample": "A"}, True),
        ("map", "map", {}, True),
        ("map", "mapping", {}, False),
        ("map:sample=A", "map", {"sample": "A", "lane": "1"}, True),
        ("map:lane=1,sample=A", "map", {"sample": "A", "lane": "1"}, True),
        ("map:sample=A", "map", {"sample": "AB"}, False),
        ("map:sample=A", "map", {"lane": "A"}, False),
        ("map:sample=A,B", "map", {"sample": "A,B"}, True),
        ("map:sample=A B=", "map", {"sample": "A B="}, False),  # two readings; a task's id tells them apart
        ("map:sample=a/b c", "map", {"sample": "a/b c", "lane": "1"}, True),
        ("map:sample=", "map", {"sample": ""}, True),
        ("map-A-17-1", "map", {}, False),
    ],
)
def test_a_rule_with_its_wildcards_names_a_task(text, rule, wildcards, fits):
    assert Wanted.parse(text).fits(named(rule, **wildcards)) is fits


@pytest.mark.parametrize("text", ["", "map:", "map:A", "map:sample=A,B=1,"])
def test_only_what_has_no_value_is_malformed(text):
    if text in ("", "map:A"):
        with pytest.raises(WorkflowError, match="is malformed"):
            Wanted.parse(text)
    else:
        assert Wanted.parse(text)


def test_without_records_no_output_is_known(tmp_path):
    assert task_of_output(tmp_path, "a.txt") == ""
    (tmp_path / ".snakemake" / "incomplete").mkdir(parents=True)
    (tmp_path / ".snakemake" / "incomplete" / "no base64").write_text("{}")
    assert task_of_output(tmp_path, "a.txt") == ""
