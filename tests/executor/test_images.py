"""`container:` of a rule: the image of its tasks, where Snakemake is in it; what else is said before anything is made."""

import pytest
from snakemake.common import __version__
from support.emulator import wait_until
from support.labelled_images import registry_of

from snakemake.azure.image.labels import VERSION

IMAGES = {"ours": {VERSION: __version__}, "older": {VERSION: "9.0"}, "other": {"maintainer": "somebody"}}
RULE = """
rule {name}:
    output: "{name}.txt"
    {more}
    shell: "{command}touch {{output}}"
"""


@pytest.fixture
def registry():
    with registry_of(IMAGES) as host:
        yield host


def rule(name, container=None, more="", command=""):
    lines = [more, f'container: "{container}"' if container else ""]
    return RULE.format(name=name, more="\n    ".join(filter(None, lines)), command=command)


def images_of_tasks(site):
    return {task.id.partition("-")[0]: task.container_settings.image_name for task in site.tasks()}


@pytest.mark.parametrize("options", [[], ["--sdm", "apptainer"]])
def test_a_task_runs_in_the_image_of_its_rule(site, registry, options):
    ours = f"{registry}/ours:1"
    text = rule("a", f"docker://{ours}", command=f"{site.held()}; ") + rule("b", command=f"{site.held()}; ")
    site.write({"Snakefile": text})
    with site.running("a.txt", "b.txt", *options) as process:
        wait_until(lambda: len(site.tasks()) == 2)
        images = images_of_tasks(site)
        site.let_go()
        assert process.wait(60) == 0, site.output()
    assert images["a"] == ours != images["b"]
    assert "are not used" not in site.output()


@pytest.mark.parametrize(
    "name, why",
    [
        ("docker://REGISTRY/older:1", "has Snakemake 9.0"),
        ("docker://REGISTRY/none:1", "has no image"),
        ("library://a/b", "is no image of a registry that Docker can pull"),
        ("docker://REGISTRY/UPPER", "is not the name of a container image"),
    ],
)
def test_an_image_that_tasks_cannot_run_in(site, registry, name, why):
    site.write({"Snakefile": rule("a", name.replace("REGISTRY", registry))})
    assert why in refused(site, "-n")


def refused(site, *options):
    result = site.run("--sdm", "apptainer", *options)
    assert result.code == 1 and "Traceback" not in result.output
    assert "Rule a: its container cannot be used" in result.output
    assert "created the pool" not in result.output
    return result.output


def test_that_it_has_no_snakemake_is_said_in_all_runs(site, registry):
    site.write({"Snakefile": rule("a", f"docker://{registry}/other:1")})
    for options in (["-n"], []):
        assert "has no Snakemake with Azure Batch in it" in refused(site, *options)


def test_without_apptainer_it_is_told(site, registry):
    site.write({"Snakefile": rule("a", f"docker://{registry}/other:1")})
    result = site.run("a.txt")
    assert result.code == 0 and "The container images of the rule a are not used (the image " in result.output


def test_a_group_has_one_image(site, registry):
    text = rule("a", f"docker://{registry}/ours:1", 'group: "g"') + rule(
        "b", None, 'group: "g"\n    input: "a.txt"'
    )
    site.write({"Snakefile": text})
    result = site.run("-n", "b.txt")
    assert result.code == 1 and "Group g: its jobs run in one task" in result.output
