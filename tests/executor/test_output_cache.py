"""Snakemake's cache between workflows (--cache), in tasks that have nothing but storage."""

import pytest

WORKFLOW = """
rule make:
    input: "in.txt"
    output: "out.txt"
    cache: True
    shell: "cat {input} > {output}; date +%N >> {output}"
"""


@pytest.mark.parametrize("rules", [[], ["make"]], ids=["all", "named"])
def test_what_another_workflow_made_is_not_made_again(site, rules):
    site.environ["SNAKEMAKE_OUTPUT_CACHE"] = f"az://{site.container.container_name}/cache"
    site.write({"Snakefile": WORKFLOW})
    made = []
    for folder in ("run", "other"):
        site.container.upload_blob(f"{folder}/in.txt", b"input")
        prefix = f"az://{site.container.container_name}/{folder}"
        result = site.run("--cache", *rules, default_storage_prefix=prefix)
        assert result.code == 0, result.last_error()
        made.append(site.container.download_blob(f"{folder}/out.txt").readall())
    assert made[0].startswith(b"input") and len(made[0]) > len(b"input")
    assert made[0] == made[1]


def test_a_local_place_is_refused_before_anything_is_made(site):
    site.environ["SNAKEMAKE_OUTPUT_CACHE"] = str(site.workdir)
    site.write({"Snakefile": WORKFLOW})
    site.put("in.txt")
    result = site.run("--cache")
    assert result.code == 1 and "Traceback" not in result.output
    assert (
        f"SNAKEMAKE_OUTPUT_CACHE is {site.workdir}, but tasks can use a cache in blob storage"
        in result.output
    )
    assert not site.left() and site.blobs() == {"in.txt"}
