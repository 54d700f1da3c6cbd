"""What `--show-failed-logs` shows of logs that lie in storage."""

import sys

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
    # Without the option, the end of the task's stderr is in the message, and no more.
    result = site.run("bad")
    assert lines(result.output).count("on the terminal") == 1 and "line 50" not in result.output
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
