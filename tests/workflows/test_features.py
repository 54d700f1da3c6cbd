"""Each feature of Snakemake, run with local files, with files in blob storage, and as tasks of Batch.

A file in `features` is a small workflow of one feature; what it makes lies in a folder of its name. All ways have to
make the same, byte for byte, and to find nothing to do when they are run again.
"""

import fnmatch
import re

import pytest

from .conftest import FEATURES, Runs, missing_program
from .ways import HERE, WAYS

pytestmark = pytest.mark.timeout(1800)


def text_of(feature: str) -> str:
    return (HERE / "features" / f"{feature}.smk").read_text(encoding="utf-8")


def made(runs: Runs, way: str, feature: str) -> dict[str, bytes]:
    """The files of the feature, without the content of those that say how long something took."""
    varies = re.findall(r"^# varies: (.+)$", text_of(feature), re.MULTILINE)
    files = runs.places[way].files(feature)
    return {n: b"" if any(fnmatch.fnmatch(n, v) for v in varies) else data for n, data in files.items()}


def owner(rule: str) -> str:
    """The feature whose rule this is: rules begin with the feature's name."""
    return max((f for f in FEATURES if rule == f or rule.startswith(f"{f}_")), key=len, default="")


def story(output: str, feature: str) -> str:
    """The parts of a run's output that name the feature."""
    parts = re.split(r"(?m)^(?=\[\w{3} \w{3} +\d+ )", output)
    return "".join(part for part in parts if re.search(rf"\b{feature}", part))[-6000:] or output[-6000:]


# What every test run has; the rest is for `make test-workflows`.
ALWAYS = [
    "aggregation",
    "branch",
    "checkpoint",
    "checkpoint_temp",
    "default_flags",
    "directory",
    "expand_rule_output",
    "format_rule_output",
    "group",
    "imported_module",
    "input_function",
    "module",
    "multiext",
    "opened_file",
    "params",
    "pathvars",
    "pipe",
    "resources",
    "run",
    "script",
    "shadow_minimal",
    "temp",
    "temp_unneeded",
    "update",
    "wildcards",
]


def parameters() -> list:
    return [pytest.param(feature, marks=marks(feature)) for feature in FEATURES]


def marks(feature: str) -> list:
    needs = missing_program(feature)
    skipped = [pytest.mark.skip(reason=f"needs {needs}")] if needs else []
    return skipped + ([] if feature in ALWAYS else [pytest.mark.every_workflow])


@pytest.mark.parametrize("feature", parameters())
@pytest.mark.parametrize("way", WAYS)
def test_same_results(runs, way, feature):
    expected = made(runs, "local", feature)
    assert expected, story(runs.first["local"].output, feature)
    found = made(runs, way, feature)
    assert found == expected, story(runs.first[way].output, feature)
    again = [rule for rule in runs.second[way].ran if owner(rule) == feature]
    assert not again, f"run again: {again}, after\n{story(runs.first[way].output, feature)}"


@pytest.mark.parametrize("way", WAYS)
def test_nothing_failed_and_nothing_is_left_to_do(runs, way):
    assert runs.first[way].code == 0, runs.first[way].output[-3000:]
    assert "Nothing to be done" in runs.second[way].output, runs.second[way].output[-3000:]
