"""Features that concern a whole workflow, so that each has runs of its own: the same in all ways, and the second time."""

import pytest

from .ways import WAYS, Place

pytestmark = pytest.mark.timeout(600)

WORKFLOWS = {
    "constraints after the rules": (
        """
rule all:
    input: "foo_bar_baz.out"
rule one:
    output: "{a}_{b}.out"
    shell: "echo a={wildcards.a} b={wildcards.b} > {output}"
wildcard_constraints:
    a='[^_]+'
""",
        [],
        {"foo_bar_baz.out": b"a=foo b=bar_baz\n"},
    ),
    "another config in place of the workflow's, and a default target": (
        """
configfile: "own.yaml"
rule never:
    output: "never.out"
    shell: "false"
rule it:
    output: "it.out"
    default_target: True
    params: config=lambda wildcards: sorted(config.items())
    shell: "echo '{params.config}' '{config}' > {output:q}"
""",
        ["--config", "id=1", "--replace-workflow-config"],
        {"it.out": b"(id, 1) {id: 1}\n"},
    ),
    "a checkpoint behind a report": (
        """
configfile: "own.yaml"
rule all:
    input: "a.out", "b.out"
checkpoint cp:
    output: directory("cp")
    shell: "mkdir -p {output}; touch {output}/x.txt"
rule a:
    output: report("a.out")
    params: own=config["own"]
    shell: "echo {params.own} > {output}"
def behind(wildcards):
    checkpoints.cp.get()
    return ["a.out"]
rule b:
    input: behind
    output: "b.out"
    shell: "cat {input} > {output}"
""",
        [],
        {"a.out": b"1\n", "b.out": b"1\n"},
    ),
}


@pytest.mark.parametrize("name", WORKFLOWS)
@pytest.mark.parametrize("way", WAYS)
def test_alone(place, way, name):
    text, given, expected = WORKFLOWS[name]
    here: Place = place(way)
    here.write({"Snakefile": text, "own.yaml": "own: 1\n"})
    first = here.run(*given)
    assert first.code == 0, first.output[-3000:]
    assert {n: data for n, data in here.files().items() if n.endswith(".out")} == expected
    assert "Nothing to be done" in here.run(*given).output


def test_a_report_does_not_keep_a_changed_workflow_from_running(place):
    here: Place = place("storage")
    here.write({"Snakefile": WORKFLOWS["a checkpoint behind a report"][0], "own.yaml": "own: 1\n"})
    for given in ([], ["--report", "r.html"], ["--config", "own=2"]):
        done = here.run(*given)
        assert done.code == 0, done.output[-3000:]
    assert here.files()["b.out"] == b"2\n"
