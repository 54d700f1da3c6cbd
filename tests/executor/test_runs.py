"""What a user does: runs workflows, looks at what became of them, and finds nothing left behind."""

import json
import re
import signal

from support.emulator import wait_until

KITCHEN_SINK = {
    "Snakefile": """
configfile: "config/config.yaml"

rule all:
    input: "result.txt", "dir.list", "python.txt", "found.txt"

rule count:
    input: "in/{name}.txt"
    output: temp("counts/{name}.txt")
    log: "logs/{name}.log"
    threads: 2
    resources: mem_mb=500, runtime=10
    shell: "wc -c < {input} > {output}; echo {threads} threads > {log}"

rule sum:
    input: expand("counts/{name}.txt", name=config["names"])
    output: "result.txt"
    script: "scripts/sum.py"

rule folder:
    input: "in/a.txt"
    output: directory("folder")
    shell: "mkdir -p {output}/sub; cp {input} '{output}/a b.txt'; touch '{output}/sub/ü#1.txt'"

rule list_folder:
    input: "folder"
    output: "dir.list"
    shell: "(cd {input} && find . -type f | sort) > {output}"

rule python:
    output: "python.txt"
    run:
        with open(output[0], "w") as f:
            print(workflow.cores, file=f)

checkpoint split:
    output: directory("parts")
    shell: "mkdir {output}; touch {output}/x.part {output}/y.part"

def parts(wildcards):
    return checkpoints.split.get().output[0]

rule found:
    input: parts
    output: "found.txt"
    group: "together"
    shell: "ls {input} | tr '\\n' ' ' > {output}"
""",
    "config/config.yaml": "names: [a, b, c]\n",
    "scripts/sum.py": "total = sum(int(open(f).read()) for f in snakemake.input)\nopen(snakemake.output[0], 'w').write(str(total))\n",
}


def test_a_whole_workflow(site):
    """Scripts, config, threads, temp files, directories, checkpoints, groups: all by way of blobs alone."""
    site.write(KITCHEN_SINK)
    for name, size in {"a": 1, "b": 20, "c": 300}.items():
        site.put(f"in/{name}.txt", b"x" * size)
    result = site.run()
    assert result.code == 0, result.last_error()
    assert site.read("result.txt") == "321"
    assert site.read("dir.list").split("\n")[:2] == ["./a b.txt", "./sub/ü#1.txt"]
    assert site.read("found.txt") == "x.part y.part "
    assert site.read("logs/a.log") == "2 threads\n"
    assert "counts/a.txt" not in site.blobs(), "a temp file is removed once it is used"
    assert not (site.workdir / "result.txt").exists(), "no shared file system, no local copies"
    site.assert_clean()
    again = site.run()
    assert again.code == 0 and "Nothing to be done" in again.output, again.last_error()


MANY = """
rule all:
    input: expand("out/{i}.txt", i=range(int(config["jobs"])))

rule one:
    output: "out/{i}.txt"
    shell: "echo {wildcards.i} > {output}"
"""


def test_tasks_share_nodes_by_their_slots(site):
    site.write(
        {
            "Snakefile": """
rule all:
    input: "small", "threads", "memory", "slots", "big"
rule small:
    output: "small"
    shell: "sleep 600"
rule threads:
    output: "threads"
    threads: 3
    shell: "sleep 600"
rule memory:
    output: "memory"
    resources: mem_mb=9000
    shell: "sleep 600"
rule slots:
    output: "slots"
    resources: az_slots=4
    shell: "sleep 600"
rule big:
    output: "big"
    threads: 5
    resources: az_vm_size="Standard_D8ds_v5"
    shell: "sleep 600"
"""
        }
    )
    with site.running(az_batch_vm_size="Standard_D4ds_v5"):
        tasks = wait_until(lambda: (found := site.tasks()) and len(found) == 5 and found)
        slots = {task.id.partition("-")[0]: task.required_slots for task in tasks}
        # 9,000 MB are more than half of 16 GiB: three of four slots.
        assert slots == {"small": 1, "threads": 3, "memory": 3, "slots": 4, "big": 5}
        pools = {p.vm_size.lower(): p for p in site.emulator.client().list_pools()}
        assert {name: p.task_slots_per_node for name, p in pools.items()} == {
            "standard_d4ds_v5": 4,
            "standard_d8ds_v5": 8,
        }
        # 1 + 3 + 3 + 4 slots in nodes of four.
        sizes = {"standard_d4ds_v5": 3, "standard_d8ds_v5": 1}
        list_pools = site.emulator.client().list_pools
        wait_until(lambda: {p.vm_size.lower(): p.target_dedicated_nodes for p in list_pools()} == sizes)
    site.assert_clean()


def test_hundreds_of_jobs_go_out_in_collections(site):
    site.write({"Snakefile": MANY.replace("echo {wildcards.i} >", "sleep 600; touch")})
    with site.running("--config", "jobs=250", jobs="250", az_batch_nodes="1", scheduler="greedy"):
        wait_until(lambda: len(site.tasks()) == 250, timeout=60)
        wait_until(lambda: next(iter(site.emulator.client().list_pools())).current_dedicated_nodes)
        pool = next(iter(site.emulator.client().list_pools()))
        assert pool.target_dedicated_nodes == 1, "never more nodes than --az-batch-nodes"
    site.assert_clean()


FAILING = """
rule all:
    input: "bad.txt", "good.txt"
rule bad:
    output: "bad.txt"
    log: "logs/bad.log"
    shell: "echo to the log > {log}; echo the real reason is ünclear >&2; exit 7"
rule good:
    output: "good.txt"
    shell: "echo fine > {output}"
"""


def test_a_failed_job_shows_its_real_stderr_once_and_the_rest_is_cleaned_up(site):
    site.write({"Snakefile": FAILING})
    result = site.run("--keep-going")
    assert result.code == 1
    assert result.output.count("| the real reason is ünclear") == 1, result.last_error()
    assert result.output.count("Error in rule bad") == 1
    assert "Traceback" not in result.output
    assert site.read("good.txt") == "fine\n"
    assert "bad.txt" not in site.blobs()
    assert site.read("logs/bad.log") == "to the log\n"
    logs = re.search(r"(\S*azure_batch_logs\S*stderr.txt)", result.output)
    assert logs and "the real reason" in (site.workdir / logs[1].rstrip(",")).read_text()
    site.assert_clean()


def test_retries_raise_resources(site):
    site.write(
        {
            "Snakefile": """
rule flaky:
    output: "out.txt"
    retries: 2
    threads: lambda wildcards, attempt: attempt
    shell: "test {threads} = 3 && echo third > {output}"
"""
        }
    )
    result = site.run()
    assert result.code == 0, result.last_error()
    assert site.read("out.txt") == "third\n"
    assert result.output.count("Trying to restart") == 2
    site.assert_clean()


def test_a_job_that_outlives_its_runtime_is_ended(site):
    site.write(
        {"Snakefile": 'rule slow:\n    output: "x"\n    resources: runtime=1\n    shell: "sleep 600"\n'},
    )
    with site.running() as process:
        task = wait_until(lambda: next(iter(site.tasks()), None))
        assert task.constraints.max_wall_clock_time.total_seconds() == 60
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 1
    site.assert_clean()


def test_interrupted_runs_leave_nothing(site):
    site.write({"Snakefile": MANY.replace("echo {wildcards.i} >", "sleep 600; touch")})
    with site.running("--config", "jobs=3") as process:
        wait_until(lambda: any(str(task.state).lower().endswith("running") for task in site.tasks()))
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 1
    assert "Traceback" not in site.output(), site.output()[-2000:]
    assert "deleted the pool" in site.output()
    site.assert_clean()


def test_an_existing_pool_is_used_and_stays(site):
    site.write({"Snakefile": MANY})
    client = site.emulator.client()
    with site.running("--config", "jobs=1"):
        made = wait_until(lambda: next(iter(client.list_pools()), None))
    site.assert_clean()
    from azure.batch import models

    configuration = made.virtual_machine_configuration
    client.create_pool(
        models.BatchPoolCreateOptions(
            id="mine",
            vm_size="Standard_D2ds_v5",
            virtual_machine_configuration=configuration,
            target_dedicated_nodes=1,
            task_slots_per_node=2,
        )
    )
    result = site.run("--config", "jobs=3", "--forceall", az_batch_pool_id="mine")
    assert result.code == 0, result.last_error()
    assert site.left() == ["pool mine"]
    assert "resizing" not in result.output


def test_environment_variables_reach_the_jobs_and_secrets_stay_out_of_sight(site):
    site.write(
        {
            "Snakefile": """
envvars: "SECRET_TOKEN"
rule all:
    input: "token.txt"
rule token:
    output: "token.txt"
    shell: "echo $SECRET_TOKEN > {output}; env | cut -d= -f1 | sort > names.txt; ! grep -q ACCOUNT_KEY names.txt; HELD"
""".replace("HELD", site.held())
        }
    )
    site.environ["SECRET_TOKEN"] = "hunter2-token"
    with site.running("--verbose") as process:
        task = wait_until(lambda: next(iter(site.tasks()), None))
        wire = json.dumps(task.as_dict(), default=str)
        pools = json.dumps([p.as_dict() for p in site.emulator.client().list_pools()], default=str)
        site.let_go()
        assert process.wait(60) == 0, site.output()[-3000:]
    assert site.read("token.txt") == "hunter2-token\n"
    log = site.output() + "".join(p.read_text() for p in (site.workdir / ".snakemake" / "log").glob("*.log"))
    for secret in ("hunter2-token", site.azurite.key, site.emulator.key):
        assert secret not in wire and secret not in pools and secret not in log
    assert "sig=" not in wire and "sig=" not in pools and "sig=" not in log


def test_a_dry_run_creates_nothing(site):
    site.write({"Snakefile": MANY})
    result = site.run("--dry-run", "--config", "jobs=3")
    assert result.code == 0, result.last_error()
    assert "This was a dry-run" in result.output
    assert site.left() == [] and site.blobs() == set()


def test_the_first_forks_command_line_still_works(site):
    """As in the post of 2020: options in a YAML file, a SAS in the URL, remote instead of storage, no --az-batch."""
    site.write(
        {
            "Snakefile": MANY,
            "yourazbatch.yaml": f"BATCH_ACCOUNT_NAME: '{site.emulator.account}'\n"
            f"BATCH_ACCOUNT_KEY: '{site.emulator.key}'\n"
            f"BATCH_ACCOUNT_URL: '{site.emulator.url}'\n"
            "BATCH_POOL_NODE_COUNT: 3 # Pool node count\n"
            "BATCH_POOL_VM_SIZE: 'Standard_DS3_v2' # VM Type/Size\n",
        }
    )
    for name in [n for n in site.environ if n.startswith("AZ_")]:
        del site.environ[name]
    site.environ["AZ_BLOB_ACCOUNT_URL"] = site.azurite.sas_url()
    command = [site.command()[0], "--default-remote-prefix", f"{site.container.container_name}/run"]
    command += ["--default-remote-provider", "AzBlob", "--az-batch-config", "yourazbatch.yaml"]
    command += [
        "--envvars",
        "AZ_BLOB_ACCOUNT_URL",
        "--container-image",
        "andreaswilm/snakemake:az-batch-20200630",
    ]
    command += ["--jobs", "3", "--reason", "--forceall", "--verbose", "--config", "jobs=2"]
    result = site.run(command=command)
    assert result.code == 0, result.last_error()
    assert "Standard_DS3_v2" in result.output
    assert "The SAS in AZ_BLOB_ACCOUNT_URL expires at" in result.output, "it ends in two hours"
    assert {"out/0.txt", "out/1.txt"} <= site.blobs()
    assert site.emulator.key not in result.output and "sig=" not in result.output
    site.assert_clean()


def test_without_az_batch_it_is_snakemake_as_ever(site):
    site.write({"Snakefile": MANY})
    command = [site.command()[0], "--cores", "1", "--config", "jobs=2"]
    result = site.run(command=command)
    assert result.code == 0, result.last_error()
    assert (site.workdir / "out" / "1.txt").read_text() == "1\n"
    assert site.left() == []
