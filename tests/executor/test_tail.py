"""`--az-batch-tail`: looks into tasks of real runs, from another process."""

import re
import signal

import pytest
from azure.core.rest import HttpRequest
from support.emulator import wait_until
from support.looking import SNAKEMAKE, looking

TALK = """
rule all:
    input: expand("{{sample}}.txt", sample={samples})
rule talk:
    output: touch("{{sample}}.txt")
    shell: "echo first {{wildcards.sample}}; {held}; echo last {{wildcards.sample}}; {end}"
"""


def write(site, samples=("A",), end="true"):
    site.write({"Snakefile": TALK.format(samples=list(samples), held=site.held(), end=end)})


def running(site) -> list:
    return [task for task in site.tasks() if str(task.state).lower().endswith("running")]


def test_what_a_job_prints_is_shown_while_it_runs_and_its_end_is_the_commands(site):
    write(site, ["A", "B"])
    with site.running() as run:
        wait_until(lambda: len(running(site)) == 2)
        # Without the account: the journal of this directory knows it.
        with looking(site, "talk:sample=A", account=False) as tail:
            wait_until(lambda: "first A" in tail.both())
            assert "last A" not in tail.both() and tail.process.poll() is None
            assert re.search(r"The task talk-A-\d+-1 runs on the node tvm\S+ since", tail.err())
            site.let_go()
            assert tail.process.wait(60) == 0, tail.both()
            assert "first B" not in tail.both() and "Traceback" not in tail.both()
        assert run.wait(60) == 0, site.output()
    site.assert_clean()


def test_a_job_is_found_by_its_id_its_output_and_from_elsewhere_by_the_prefix(site, tmp_path):
    write(site, ["A", "B"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with site.running() as run:
        wait_until(lambda: len(running(site)) == 2)
        task = next(task.id for task in site.tasks() if task.id.startswith("talk-B"))
        ways = [
            (task, [], site.workdir),
            ("B.txt", [], site.workdir),
            ("talk:sample=B", ["--default-storage-prefix", site.prefix], elsewhere),
        ]
        for job, args, cwd in ways:
            with looking(site, job, *args, cwd=cwd) as tail:
                wait_until(lambda tail=tail: "first B" in tail.both() or tail.process.poll() is not None)
                assert "first B" in tail.both() and f"The task {task} runs" in tail.err(), (job, tail.both())
        site.let_go()
        assert run.wait(60) == 0, site.output()


def test_of_several_jobs_none_is_chosen_and_without_any_it_says_what_there_is(site):
    none = site.run(command=[str(SNAKEMAKE), "--az-batch-tail", "talk"])
    assert none.code == 1 and "No run on Azure Batch goes on in" in none.output
    write(site, ["A", "B"])
    with site.running() as run:
        wait_until(lambda: len(running(site)) == 2)
        several = site.run(command=[str(SNAKEMAKE), "--az-batch-tail", "talk"])
        assert several.code == 1 and "2 tasks of --az-batch-tail talk run: talk-A-" in several.output
        other = site.run(command=[str(SNAKEMAKE), "--az-batch-tail", "walk"])
        assert other.code == 1 and "tasks of talk do." in other.output
        site.let_go()
        assert run.wait(60) == 0, site.output()
    over = site.run(command=[str(SNAKEMAKE), "--az-batch-tail", "talk"])
    assert over.code == 1 and re.search(
        r"The last one, talk-., has succeeded|talk-[AB]-\d-1, has succ", over.output
    )
    assert "Traceback" not in none.output + several.output + other.output + over.output


def test_a_further_attempt_is_gone_on_with_and_a_failure_is_the_commands(site):
    write(site, end="exit 3")
    with site.running("--retries", "1") as run:
        wait_until(lambda: running(site))
        with looking(site, "talk") as tail:
            wait_until(lambda: "first A" in tail.both())
            site.let_go()
            assert tail.process.wait(90) == 1, tail.both()
        assert re.search(r"The task talk-A-\d+-1 has failed: The task's command exited with code", tail.err())
        assert re.search(r"The job goes on as the task talk-A-\d+-2\.", tail.err())
        assert tail.out().count("last A") == 2
        assert run.wait(60) == 1
    site.assert_clean()


def test_a_look_outlives_the_client_and_sees_of_a_long_log_the_end_alone(site):
    site.write(
        {
            "Snakefile": f"""
rule talk:
    output: touch("done")
    shell: "seq 100000 199999; {site.held()}; echo last"
"""
        }
    )
    with site.running() as run:
        wait_until(lambda: running(site))
        task = running(site)[0]
        client, job = site.emulator.client(), task.url.split("/jobs/")[1].split("/")[0]
        wait_until(
            lambda: client.get_task_file_properties(job, task.id, "stdout.txt").content_length >= 700000
        )
        with looking(site, "talk") as tail:
            wait_until(lambda: "199999" in tail.out())
            assert "stdout.txt has 700,000 bytes by now, of which the last 65,536 are shown." in tail.err()
            assert "150000" not in tail.out()
            run.kill()
            run.wait(30)
            with site.running() as another:
                wait_until(lambda: "takes over 1 tasks" in site.output())
                assert tail.process.poll() is None
                site.let_go()
                assert tail.process.wait(60) == 0, tail.err()
                assert another.wait(60) == 0, site.output()
    site.assert_clean()


def test_ctrl_c_ends_only_the_looking(site):
    write(site)
    with site.running() as run:
        wait_until(lambda: running(site))
        with looking(site, "talk") as tail:
            wait_until(lambda: "first A" in tail.both())
            tail.process.send_signal(signal.SIGINT)
            assert tail.process.wait(30) == 130
            assert "No longer looking; the task goes on." in tail.err() and "Traceback" not in tail.err()
        assert running(site) and run.poll() is None
        site.let_go()
        assert run.wait(60) == 0, site.output()


def test_a_node_that_is_lost_and_an_outage_are_waited_out(site):
    write(site)
    client = site.emulator.client()
    with site.running() as run:
        wait_until(lambda: running(site))
        with looking(site, "talk") as tail:
            wait_until(lambda: "first A" in tail.both())
            task = running(site)[0]
            url = f"{site.emulator.url}/-/pools/{task.node_info.pool_id}/nodes/{task.node_info.node_id}/lose"
            client.send_request(HttpRequest("POST", url)).raise_for_status()
            wait_until(lambda: tail.both().count("first A") == 2)
            assert "begins again, on" in tail.err() or "waits for another one" in tail.err()
            busy = {"outage": {"kind": "busy", "seconds": 3}}
            client.send_request(
                HttpRequest("POST", f"{site.emulator.url}/-/faults", json=busy)
            ).raise_for_status()
            site.let_go()
            assert tail.process.wait(60) == 0, tail.both()
        assert run.wait(60) == 0, site.output()


def test_a_job_that_has_no_node_yet_is_waited_for(site):
    write(site)
    client = site.emulator.client()
    stall = HttpRequest("POST", f"{site.emulator.url}/-/faults", json={"allocations": ["stall"]})
    client.send_request(stall).raise_for_status()
    with site.running() as run:
        wait_until(lambda: site.tasks())
        with looking(site, "talk") as tail:
            wait_until(lambda: "waits for a node of the pool" in tail.err())
            assert tail.process.poll() is None
        assert run.poll() is None


@pytest.mark.parametrize("job", ["talk:A", " "])
def test_what_is_no_job_is_told_in_a_sentence(site, job):
    result = site.run(command=[str(SNAKEMAKE), "--az-batch-tail", job])
    assert result.code == 1 and "is malformed" in result.output and len(result.output.splitlines()) <= 2
