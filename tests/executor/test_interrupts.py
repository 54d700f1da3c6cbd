"""Ctrl-C, once and more often: a sentence, exit code 1, and nothing is left in the cloud."""

import signal

import pytest
from support.emulator import wait_until

WAITING = """
import os, time

def wait(wildcards=None):
    open("here", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
    return "in"

{top}
rule one:
    input: {input}
    output: "out"
    shell: "cp {{input}} {{output}}"
"""


@pytest.mark.parametrize(
    "parts", [{"top": "wait()", "input": '"in"'}, {"top": "", "input": "wait"}], ids=["workflow", "DAG"]
)
def test_before_anything_runs(site, parts):
    """While the workflow is read, and while its jobs are found."""
    site.put("in")
    site.write({"Snakefile": WAITING.format(**parts)})
    with site.running() as process:
        wait_until(lambda: (site.workdir / "here").exists())
        process.send_signal(signal.SIGINT)
        site.let_go()
        assert process.wait(60) == 1
    assert site.output().count("Cancelling snakemake on user request.") == 1
    assert "Traceback" not in site.output(), site.output()
    assert site.left() == []


def test_again_and_again(site):
    """While the run is cleaned up: that is done all the same."""
    site.write({"Snakefile": 'rule:\n    output: "out"\n    shell: "sleep 600"\n'})
    with site.running() as process:
        wait_until(lambda: site.tasks())
        process.send_signal(signal.SIGINT)
        for line in ("Terminating processes", "deleted the Batch job", "deleted the pool"):
            wait_until(lambda line=line: line in site.output() or process.poll() is not None)
            process.send_signal(signal.SIGINT)
        # When nothing is left to do, the signal itself may end the process.
        assert process.wait(60) in (1, -signal.SIGINT)
    assert "Traceback" not in site.output(), site.output()
    site.assert_clean()


def test_when_all_is_done_ctrl_c_is_no_traceback(site):
    """Here in a thread of the workflow, which the interpreter waits for."""
    site.write(
        {
            "Snakefile": """
import os, threading, time

def wait():
    while not os.path.exists("go"):
        time.sleep(0.01)

threading.Thread(target=wait).start()

rule here:
    localrule: True
    shell: "true"
"""
        }
    )
    with site.running() as process:
        wait_until(lambda: "Complete log" in site.output())
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) in (1, -signal.SIGINT)
    assert "Traceback" not in site.output(), site.output()


"""
"""
