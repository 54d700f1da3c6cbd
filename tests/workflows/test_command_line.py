"""Each of Snakemake's options: how it reaches a task, or why it need not. A new one has to be put into a table."""

import json

import pytest
from snakemake.cli import get_argument_parser

from .ways import Place

pytestmark = pytest.mark.timeout(600)

# Options that reach tasks as options: what is given, and what the workflow in the task then says.
REACH = {
    "--allow-ambiguity": ([], "workflow.execution_settings.ignore_ambiguity", True),
    "--all-temp": ([], "workflow.storage_settings.all_temp", True),
    "--apptainer-args": (["--nv"], "workflow.deployment_settings.apptainer_args", "--nv"),
    "--apptainer-prefix": (["images"], "str(workflow.deployment_settings.apptainer_prefix)", "images"),
    "--benchmark-extended": ([], "workflow.output_settings.benchmark_extended", True),
    "--conda-not-block-search-path-envvars": (
        [],
        "workflow.deployment_settings.conda_not_block_search_path_envvars",
        True,
    ),
    "--conda-prefix": (["envs"], "str(workflow.deployment_settings.conda_prefix)", "envs"),
    "--config": (["given=b c"], "config", {"given": "b c", "more": 1}),
    "--configfile": (["more.yaml"], "config['more']", 1),
    "--default-resources": (["mem_mib=1000", "disk=3000 + attempt"], "[resources.mem_mb, resources.disk_mb]", [1048, 3001]),
    "--envvars": (["WORKFLOWS_WORD"], "os.environ['WORKFLOWS_WORD']", "of the environment"),
    "--keep-incomplete": ([], "workflow.execution_settings.keep_incomplete", True),
    "--keep-storage-local-copies": ([], "workflow.storage_settings.keep_storage_local", True),
    "--latency-wait": (["7"], "workflow.execution_settings.latency_wait", 7),
    "--max-threads": (["2"], "threads", 2),
    "--notemp": ([], "workflow.storage_settings.notemp", True),
    "--omit-flags": (["protected"], "sorted(workflow.storage_settings.omit_flags)", ["protected"]),
    "--precommand": (["export SET_BEFORE=yes"], "os.environ['SET_BEFORE']", "yes"),
    "--printshellcmds": ([], "workflow.output_settings.printshellcmds", True),
    "--remote-job-local-storage-prefix": (["copies"], "str(workflow.storage_settings.local_storage_prefix)", "copies"),
    "--replace-workflow-config": ([], "'own' in config", False),
    "--resources": (["bounded=3"], "resources.bounded", 3),
    "--set-resource-scopes": (["bounded=local"], "workflow.resource_scopes.is_local('bounded')", True),
    "--set-resources": (["it:set_here=5"], "resources.set_here", 5),
    "--set-scatter": (["pieces=3"], "len(scatter.pieces('{scatteritem}'))", 3),
    "--set-threads": (["it=8"], "threads", 2),
    "--shadow-prefix": (["shadows"], "str(workflow.execution_settings.shadow_prefix)", "shadows"),
    "--skip-script-cleanup": ([], "workflow.execution_settings.cleanup_scripts", False),
    "--software-deployment-method": (
        ["env-modules"],
        "[m.item_to_choice() for m in workflow.deployment_settings.deployment_method]",
        ["env-modules"],
    ),
    "--verbose": ([], "workflow.output_settings.verbose", True),
    "--wait-for-free-local-storage": (["60s"], "workflow.storage_settings.wait_for_free_local_storage", 60),
    "--wrapper-prefix": (["file:wrappers/"], "workflow.workflow_settings.wrapper_prefix", "file:wrappers/"),
}  # fmt: skip

# Those that reach tasks in another way, each held by other tests.
REACH_OTHERWISE = {
    "--attempt": "a task is told its job's attempt",
    "--cache": "see tests/executor/test_output_cache.py",
    "--conda-frontend": "there is one left, conda",
    "--cores": "bounds the threads of a job, here and in its task",
    "--default-storage-prefix": "in each task's command",
    "--default-storage-provider": "in each task's command",
    "--directory": "a task has a working directory of its own, with the sources in it",
    "--not-retrieve-storage": "see below",
    "--snakefile": "in each task's command",
    "--set-threads": "see above",
    "--shared-fs-usage": "nothing is shared",
    "--use-apptainer": "older name for a software deployment method",
    "--use-conda": "older name for a software deployment method",
    "--use-envmodules": "older name for a software deployment method",
}

NEED_NOT = {
    "what is to be run is decided before a job becomes a task": """
        --batch --consider-ancient --force --forceall --forcerun --ignore-incomplete --list-changes
        --list-input-changes --list-params-changes --max-checksum-file-size --max-inventory-time --omit-from
        --prioritize --rerun-incomplete --rerun-triggers --strict-dag-evaluation --touch --trust-io-cache --until
        --no-subworkflows""",
    "when jobs are submitted, and how often again, is decided by the main process": """
        --dry-run --executor --group-components --groups --jobs --keep-going --local-cores --max-jobs-per-second
        --max-jobs-per-timespan --max-status-checks-per-second --preemptible-retries --preemptible-rules
        --queue-input-wait-time --retries --scheduler --scheduler-greediness --scheduler-solver-path
        --scheduler-subsample --seconds-between-status-checks --wait-for-files --wait-for-files-file""",
    "it is another command than running": """
        --archive --cleanup-metadata --cleanup-shadow --conda-cleanup-envs --conda-create-envs-only
        --container-cleanup-images --containerize --d3dag --dag --delete-all-output --delete-temp-output
        --deploy-sources --draft-notebook --edit-notebook --export-cwl --filegraph --generate-unit-tests --help
        --lint --list-conda-envs --list-rules --list-target-rules --list-untracked --print-compilation --rulegraph
        --summary --detailed-summary --unlock --version --notebook-listen""",
    "records, locks, hooks, reports and profiles are kept by the main process": """
        --drop-metadata --no-hooks --nolock --persistence-backend --persistence-backend-db-url --profile --report
        --report-after-run --report-metadata --report-stylesheet --reporter --runtime-profile --workflow-profile""",
    "it is about what is shown here": "--debug-dag --logger --nocolor --quiet --show-failed-logs",
    "the image has its own conda and its own caches": "--conda-base-path --conda-cleanup-pkgs --runtime-source-cache-path",
    "where this machine keeps local copies": "--local-storage-prefix",
    "it is for the tasks' own Snakemake": """
        --allowed-rules --force-use-threads --local-groupid --mode --target-files-omit-workdir-adjustment
        --target-jobs --unneeded-temp-files""",
    "it is refused, or Snakemake refuses it for runs on other machines": "--debug --immediate-submit --jobscript",
    "Azure Batch has other names and other images, which are used": "--container-image --job-deploy-sources --jobname",
}  # fmt: skip

OURS = (
    "--az-batch",
    "--azure-batch-",
    "--default-remote-",
    "--reason",
    "--storage-",
    "--report-html-",
    "--scheduler-greedy-",
    "--scheduler-ilp-",
    "--logger-",  # plugins for what is shown here
)


def options() -> set[str]:
    """The first long name of each of the parser's options, but for ours and those of plugins."""
    names = (
        next((o for o in action.option_strings if o.startswith("--")), None)
        for action in get_argument_parser()._actions
    )
    return {name for name in names if name and not name.startswith(OURS)}


def test_every_option_has_its_place_in_a_table():
    known = {*REACH, *REACH_OTHERWISE, *(name for names in NEED_NOT.values() for name in names.split())}
    assert options() - known == set(), "say how it reaches a task, or why it need not"
    assert known - options() == set(), "Snakemake has no such option"


SNAKEFILE = """
import json, os

configfile: "own.yaml"
scattergather: pieces=2

rule it:
    output: "seen.json"
    threads: 4
    resources: bounded=7
    run:
        seen = {}
        for name, text in json.loads(TEXTS).items():
            seen[name] = eval(text)
        with open(output[0], "w") as f:
            json.dump(seen, f)
"""


def test_they_reach_a_task(place):
    here: Place = place("batch")
    texts = json.dumps({name: text for name, (_, text, _) in REACH.items()})
    here.write(
        {"Snakefile": f"TEXTS = {texts!r}\n{SNAKEFILE}", "own.yaml": "own: 1\n", "more.yaml": "more: 1\n"}
    )
    given = [part for name, (values, _, _) in REACH.items() for part in _spelled(name, values)]
    done = here.run(*given)
    assert done.code == 0, done.output[-4000:]
    assert json.loads(here.files()["seen.json"]) == {name: value for name, (_, _, value) in REACH.items()}


def _spelled(name: str, values: list[str]) -> list[str]:
    """A value that begins with a hyphen stands with its option."""
    return [f"{name}={values[0]}"] if values and values[0].startswith("-") else [name, *values]


def test_input_that_is_not_retrieved_is_given_by_its_query(place):
    here: Place = place("batch")
    here.container.upload_blob("run/in.txt", b"x")
    text = 'rule it:\n    input: "in.txt"\n    output: storage("PREFIX/out.txt", retrieve=True)\n    shell: "echo {input} > {output}"\n'
    here.write({"Snakefile": text.replace("PREFIX", here.prefix)})
    done = here.run("--not-retrieve-storage", "it")
    assert done.code == 0, done.output[-4000:]
    assert here.files()["out.txt"].decode() == f"{here.prefix}/in.txt\n"
