"""Where the temporary files, the home and the caches of a job lie, and that they go with its task."""

WORKFLOW = """
rule second:
    input: "first"
    output: "second"
    retries: 1
    shell: "set -- $(cat {input}); test ! -e $1 -a ! -e $2; if [ -e KEPT ]; then test ! -e $(cat KEPT); touch {output}; else "
        "touch $TMPDIR/of-a-failure; readlink -f $TMPDIR > KEPT; exit 1; fi"

rule first:
    output: "first"
    shell: "touch $TMPDIR/a $HOME/b; cd $TMPDIR; echo $(readlink -f $TMPDIR $HOME) $TMPDIR {resources.tmpdir} "
        "$(readlink -f $XDG_CACHE_HOME) $AZ_BATCH_TASK_DIR > $OLDPWD/{output}"
"""


def test_temporary_files(site):
    """The rule `second` fails unless those of `first`, and of its own first attempt, are gone."""
    site.write({"Snakefile": WORKFLOW.replace("KEPT", str(site.workdir / "kept"))})
    result = site.run(az_batch_nodes="1")
    assert result.code == 0, result.last_error()
    tmp, home, variable, resource, cache, task = site.read("first").split()
    assert all(path.startswith(f"{task}/wd/") for path in (tmp, home, cache))
    assert variable == resource


def test_a_variable_that_the_run_passes_stays(site):
    site.environ["TMPDIR"] = str(site.workdir)
    site.write({"Snakefile": 'rule a:\n    output: "a"\n    shell: "echo $TMPDIR $HOME > {output}"\n'})
    result = site.run("--envvars", "TMPDIR")
    assert result.code == 0, result.last_error()
    tmp, home = site.read("a").split()
    assert tmp == str(site.workdir) and home.endswith("/home")
