"""Ctrl-C, once and more often: a sentence, exit code 1, and nothing is left in the cloud."""

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.emulator import wait_until


def in_set(process: subprocess.Popen, name: str) -> bool:
    """Whether SIGINT is in that set of signals of the process, such as those that it ignores."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(rf"^{name}:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> (signal.SIGINT - 1) & 1)


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
        # Before and after the clean-up an interrupt is one: it is sent while the process stands still in it.
        while process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            if in_set(process, "SigIgn"):
                process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.005)
        assert process.wait(60) == 1
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
        wait_until(lambda: not in_set(process, "SigCgt"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
    assert "Traceback" not in site.output(), site.output()


"""
"""
