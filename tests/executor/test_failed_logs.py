"""What is shown of the logs of failed jobs, which lie in storage, and of their tasks, on nodes that may be gone."""

import signal
import sys

from azure.core.exceptions import HttpResponseError
from support.emulator import wait_until

WORKFLOW = """
rule all:
    input: "bad", "gone", "second"

rule bad:
    output: "bad"
    log: "logs/empty", "logs/bad", err="logs/bad.err"
    shell:
        "echo on the terminal >&2; for n in $(seq 50); do echo line $n; done > {log[1]}; echo the reason > {log.err}; "
        "touch {log[0]}; exit 3"

rule gone:
    output: "gone"
    log: "logs/gone"
    shell: "echo never stored > {log}; kill -9 $PPID"

rule first:
    output: "first"
    log: "logs/first"
    group: "both"
    shell: "echo all is well so far > {log}; touch {output}"

rule second:
    input: "first"
    output: "second"
    log: "logs/second"
    group: "both"
    shell: "echo why the group failed > {log}; exit 4"
"""
SHOWN = ("line 1", "line 50", "the reason", "on the terminal", "why the group failed")


def lines(output: str) -> list[str]:
    return [line.strip().removeprefix("| ") for line in output.splitlines()]


def test_on_azure_batch(site):
    """Logs are fetched from storage, each is shown once, and nothing of the task's stderr a second time."""
    site.write({"Snakefile": WORKFLOW})
    site.put("logs/empty", b"of an earlier run\n")
    result = site.run("--show-failed-logs", "--keep-going")
    assert result.code == 1 and "Traceback" not in result.output
    assert {text: lines(result.output).count(text) for text in SHOWN} == dict.fromkeys(SHOWN, 1)
    assert "logs/empty: empty file" in result.output and "of an earlier run" not in result.output
    prefix = site.prefix
    assert f"Logfile {prefix}/logs/gone (in storage) not found." in result.output
    assert f"{prefix}/logs/gone: there is no such blob" in result.output
    assert "sig=" not in result.output and site.azurite.key not in result.output
    # A second attempt shows its own.
    site.write({"Snakefile": WORKFLOW.replace("the reason", "another one")})
    result = site.run("--show-failed-logs", "bad")
    assert lines(result.output).count("another one") == 1 and "the reason" not in result.output
    # Without the option, the ends of the task's stderr and of its logs are in the message, and no more.
    result = site.run("bad")
    shown = lines(result.output)
    assert [shown.count(text) for text in ("on the terminal", "another one", "line 50", "line 31")] == [1] * 4
    assert f"The last 20 lines of the log {prefix}/logs/bad:" in shown
    assert "line 30" not in shown and "logs/empty:" not in result.output
    # A log that was there before the job is not its own; those of groups are shown as well.
    site.put("logs/gone", b"of an earlier run\n")
    result = site.run("--keep-going", "gone", "second")
    assert lines(result.output).count("why the group failed") == 1 and "earlier run" not in result.output
    site.assert_clean()


def test_with_the_local_executor(site):
    site.write({"Snakefile": WORKFLOW})
    storage = site.options(az_batch_account_url=None, container_image=None, jobs="1")
    command = [sys.executable, "-m", "snakemake", *storage, "--show-failed-logs"]
    result = site.run(command=[*command, "bad"])
    assert result.code == 1
    assert {text: lines(result.output).count(text) for text in SHOWN[:4]} == dict.fromkeys(SHOWN[:4], 1)
    assert "logs/empty: empty file" in result.output and "not found" not in result.output
    # The log of a failed job is stored as well.
    assert site.read("logs/bad.err") == "the reason\n"


KILLED = """
rule killed:
    output: "killed"
    shell: "echo said before the end >&2; echo printed; HELD; kill -9 $PPID"
"""


def test_logs_of_a_task_whose_node_is_gone(site):
    """The client sleeps while the task is killed and its node is given back."""
    site.write({"Snakefile": KILLED.replace("HELD", site.held())})
    client = site.emulator.client()
    with site.running() as process:
        wait_until(lambda: any(task.state == "running" for task in site.tasks()))
        wait_until(lambda: "said before" in stderr_of(site))
        process.send_signal(signal.SIGSTOP)
        try:
            site.let_go()
            (task,) = wait_until(lambda: [task for task in site.tasks() if task.state == "completed"])
            (pool,) = client.list_pools()
            client.disable_pool_auto_scale(pool.id)
            nodes = {"nodeList": [node.id for node in client.list_nodes(pool.id)]}
            client.begin_remove_nodes(pool.id, nodes, polling_interval=3600)
            wait_until(lambda: not list(client.list_nodes(pool.id)))
        finally:
            process.send_signal(signal.SIGCONT)
        assert process.wait(60) == 1
    assert lines(site.output()).count("said before the end") == 1
    assert "the job's process was killed by SIGKILL" in site.output()
    (home,) = (site.workdir / ".snakemake" / "azure_batch_logs").glob(f"*/{task.id}")
    assert {f.name for f in home.iterdir()} == {"stderr.txt", "stdout.txt"}
    assert "printed" in (home / "stdout.txt").read_text()
    assert "deleted the logs of tasks" in site.output()
    site.assert_clean()


def stderr_of(site):
    client = site.emulator.client()
    (job,) = client.list_jobs()
    (task,) = client.list_tasks(job.id)
    try:
        return b"".join(client.download_task_file(job.id, task.id, "stderr.txt")).decode()
    except HttpResponseError:
        return ""
