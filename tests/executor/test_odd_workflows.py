"""Legal, but odd: what workflows do less often must not get lost between the command line and the node."""

import json
import signal
import subprocess

import pytest
from support.emulator import wait_until

NAMES = [
    "a b",
    "c,d",
    "e'f",
    'g"h',
    "i$HOME",
    "ü-日本",
    "x=y",
    "p;q",
    "#1",
    "100%",
    "-dash",
    "b\"o'th",
    "k:v",
]

FEATURES = {
    "workflow/Snakefile": f"""
import json

configfile: "config/my conf.yaml"
include: "rules/odd ünd.smk"
module other:
    snakefile: "other/Snakefile"
    config: config
use rule * from other as other_*
localrules: here

onsuccess:
    print("The hook ran.")

rule all:
    input: expand("out/{{n}}.txt", n={NAMES!r}), "config.json", "here.txt", "included.txt", "other.txt",
        "protected.txt", "touched", "bench.tsv", "shadow.txt", "params.txt", "resources.txt", "read.txt", "used.txt",
        "ensured.txt"
    default_target: True

rule odd:
    output: "out/{{n}}.txt"
    log: "logs/{{n}} log.txt"
    shell: "printf '%s' {{wildcards.n:q}} > {{output:q}}; echo hi > {{log:q}}"
"""
    + r"""
rule config:
    output: "config.json"
    run:
        with open(output[0], "w") as f:
            json.dump(config, f)

rule here:
    output: "here.txt"
    shell: "pwd > {output}"

rule protected:
    input: ancient("in.txt")
    output: protected("protected.txt")
    shell: "cp {input} {output}"

rule touched:
    output: touch("touched")
    benchmark: "bench.tsv"
    shell: "true"

rule shadow:
    input: "in.txt"
    output: "shadow.txt"
    shadow: "minimal"
    shell: "echo junk > junk.txt; cat {input} > {output}"

rule params:
    output: "params.txt"
    params: a="x y", b=["1", "2 3"], c=lambda wildcards: "ü'\"$HOME"
    shell: "printf '%s|' {params.a:q} {params.b:q} {params.c:q} > {output}"

rule resources:
    output: "resources.txt"
    resources: tag="x,y z", mem_mb=100
    threads: 2
    shell: "echo {threads} {resources.mem_mb} '{resources.tag}' {resources.bar} > {output}"

rule ensured:
    output: ensure("ensured.txt", non_empty=True, sha256="5139551fe04565deba9ac34f76022e7052a1a07410d0c7dd874932af685bf629")
    shell: "echo ensured > {output}"

rule write:
    output: pipe("piped.txt")
    shell: "echo piped > {output}"

rule read:
    input: "piped.txt"
    output: "read.txt"
    shell: "cat {input} > {output}"

rule serve:
    output: service("served.txt")
    shell: "echo served > {output}; sleep 60"

rule use:
    input: "served.txt"
    output: "used.txt"
    shell: "cat {input} > {output}"
""",
    "workflow/rules/odd ünd.smk": """
rule included:
    output: "included.txt"
    params: table=workflow.source_path("../data/tab le.txt")
    script: "../scripts/in c.py"
""",
    "workflow/data/tab le.txt": "table",
    "workflow/scripts/in c.py": """
from helper import helped
with open(snakemake.output[0], "w") as f:
    f.write(helped(open(snakemake.params.table).read()))
""",
    "workflow/scripts/helper.py": "def helped(text): return 'helped ' + text\n",
    "workflow/other/Snakefile": """
rule other:
    output: "other.txt"
    shell: "echo other > {output}"
""",
    "config/my conf.yaml": "deep: {x: [1, {y: 'z z'}]}\nfile: 1\n",
    "extra conf.yaml": "extra: {k: v}\n",
    # Is for the user's command line; a node that read it would start runs of its own.
    "profiles/default/config.yaml": "executor: az-batch\njobs: 8\nset-threads: [resources=3]\n"
    "default-resources: [bar=7]\n",
}


def test_odd_but_legal(site):
    """Names, wildcards, configuration and resources of any characters; modules, pipes, services, shadow folders."""
    site.write(FEATURES)
    for command in ("git init -q .", "git add ."):
        subprocess.run(command.split(), cwd=site.workdir, check=True)
    site.put("in.txt", b"input")
    given = ["--config", "words=b c", r"regex=\d+'\.", 'both={"k": [1, "two words"], "q": "it\'s"}', "file=2"]
    given += ["--configfile", "extra conf.yaml", "--set-resources", "resources:mem_mb=222", "--notemp"]
    result = site.run(*given, jobs=None)
    assert result.code == 0, result.last_error()
    assert {n: site.read(f"out/{n}.txt") for n in NAMES} == {n: n for n in NAMES}
    assert {site.read(f"logs/{n} log.txt") for n in NAMES} == {"hi\n"}
    assert json.loads(site.read("config.json")) == {
        "words": "b c",
        "regex": r"\d+'\.",
        "both": {"k": ["1", "two words"], "q": "it's"},
        "file": 2,
        "extra": {"k": "v"},
        "deep": {"x": [1, {"y": "z z"}]},
    }
    expected = {
        "here.txt": f"{site.workdir}\n",
        "included.txt": "helped table",
        "other.txt": "other\n",
        "protected.txt": "input",
        "touched": "",
        "shadow.txt": "input",
        "params.txt": "x y|1|2 3|ü'\"$HOME|",
        "resources.txt": "3 222 x,y z 7\n",
        "read.txt": "piped\n",
        "used.txt": "served\n",
        "ensured.txt": "ensured\n",
    }
    assert {name: site.read(name) for name in expected} == expected
    assert site.read("bench.tsv").startswith("s\t")
    assert not {"piped.txt", "served.txt"} & site.blobs()
    leased = [b.name for b in site.container.list_blobs() if b.lease.status == "locked"]
    assert leased == ["run/protected.txt"]
    assert "The hook ran." in result.output and "not sent to the nodes" not in result.output
    site.assert_clean()


GROUP = """
rule second:
    input: "first.txt"
    output: "second.txt"
    group: "both"
    shell: "cat {input} > {output}"

rule first:
    output: "first.txt"
    group: "both"
    shell: "echo the real reason >&2; exit 7"
"""


def test_a_failed_group_shows_its_stderr(site):
    """Snakemake prints no message with a group's error."""
    site.write({"Snakefile": GROUP})
    result = site.run()
    assert result.code == 1
    assert result.output.count("| the real reason") == 1, result.last_error()
    site.assert_clean()


SLEEPER = """
rule sleep:
    output: "slept.txt"
    shell: "sleep 600; touch {output}"
"""


@pytest.fixture
def hangups():
    """Processes started meanwhile notice a closed terminal, also where these tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_closed_terminal_leaves_nothing(site, hangups):
    site.write({"Snakefile": SLEEPER})
    with site.running() as process:
        wait_until(lambda: site.tasks())
        process.send_signal(signal.SIGHUP)
        assert process.wait(90) == 1
    assert "deleted the pool" in site.output()
    site.assert_clean()


@pytest.mark.parametrize("question", ["--list-rules", "--dag", "--summary"])
def test_questions_about_a_workflow_need_no_jobs(site, question):
    site.write({"Snakefile": SLEEPER})
    result = site.run(question, jobs=None)
    assert result.code == 0, result.last_error()
    assert "sle" in result.output and site.left() == []


def test_a_run_needs_a_number_of_jobs(site):
    site.write({"Snakefile": SLEEPER})
    result = site.run(jobs=None)
    assert result.code == 1 and "--jobs" in result.last_error() and "Traceback" not in result.output
    assert site.left() == []


def test_a_rules_vm_size_is_looked_up_before_anything_is_made(site):
    rule = 'rule good:\n    output: "good"\n    shell: "touch {output}"\n'
    rule += 'rule late:\n    input: "good"\n    output: "late"\n    resources: az_vm_size="Standard_Q9"\n'
    site.write({"Snakefile": rule + '    shell: "touch {output}"\n'})
    result = site.run("late")
    assert result.code == 1 and "Traceback" not in result.output
    assert (
        "Rule late: 'Standard_Q9' is not a VM size" in result.output and "az_vm_size" in result.last_error()
    )
    assert "created the pool" not in result.output and site.left() == []


def test_batch_itself_repeats_a_task(site):
    """Its directory stays between the attempts; Snakemake sees one job that succeeds."""
    shell = (
        "test -e $AZ_BATCH_TASK_DIR/again || { touch $AZ_BATCH_TASK_DIR/again; exit 1; }; echo yes > {output}"
    )
    site.write(
        {
            "Snakefile": f'rule twice:\n    output: "twice.txt"\n    shell: "{shell.replace("{ ", "{{ ").replace("; }", "; }}")}"\n'
        }
    )
    result = site.run(az_batch_task_retries="1")
    assert result.code == 0, result.last_error()
    assert site.read("twice.txt") == "yes\n" and "Trying to restart" not in result.output
    site.assert_clean()


def test_secrets_that_are_given_as_options_stay_out_of_sight(site):
    site.write({"Snakefile": 'rule one:\n    output: "one.txt"\n    shell: "touch {output}"\n'})
    url, key = site.environ.pop("AZ_BLOB_ACCOUNT_URL"), site.environ.pop("AZ_BLOB_ACCOUNT_KEY")
    given = {"storage_azblob_account_url": url, "storage_azblob_account_key": key}
    for options in (given, {"storage_azblob_account_url": site.azurite.sas_url()}):
        result = site.run("--verbose", "--forceall", **options)
        assert result.code == 0, result.last_error()
        assert "***" in result.output
    written = [p.read_text(errors="replace") for p in site.workdir.rglob("*") if p.is_file()]
    assert not [
        text for text in (result.output, *written) if key in text or "sig=" in text.replace("sig=***", "")
    ]
