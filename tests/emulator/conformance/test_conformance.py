"""The conformance kit: on the emulator all facts hold, on a wrong one those that are wrong differ."""

import json
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.emulator import running_emulator

from azure_batch_emulator.conformance import command, probes
from azure_batch_emulator.conformance.probe import PROBES, Context
from azure_batch_emulator.conformance.run import run
from azure_batch_emulator.conformance.wire import Account, Wire

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/emulator/fidelity.md").read_text()
# An emulator that is wrong in some points that nobody could mistake for others.
WRONG = """
from azure_batch_emulator.core.bodies import task_specs
from azure_batch_emulator.nodes.runners import process
from azure_batch_emulator.protocol.errors import CATALOGUE
from azure_batch_emulator.entry import main
CATALOGUE["PoolNotFound"] = (410, "It is gone.")
CATALOGUE["TaskFilesCleanedup"] = (404, "They are gone.")
real = task_specs.task_constraints
task_specs.task_constraints = lambda given, retries: real(given, retries) | {"retentionTime": "P1D"}
start = process.task_environment
process.task_environment = lambda *launch: {**start(*launch), "TMPDIR": "/tmp"}
raise SystemExit(main())
"""


def ask(emulator, *options):
    environment = {
        "AZ_BATCH_ACCOUNT_URL": emulator.url,
        "AZ_BATCH_ACCOUNT_NAME": emulator.account,
        "AZ_BATCH_ACCOUNT_KEY": emulator.key,
        "PATH": "/usr/bin:/bin",
    }
    return subprocess.run(
        [sys.executable, "-m", "azure_batch_emulator", "conformance", *options],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def left(emulator):
    client = emulator.client()
    kept = [pool.id for pool in client.list_pools() if pool.state != "deleting"]
    return kept + [job.id for job in client.list_jobs() if job.state != "deleting"]


def states(output):
    return {
        name: state
        for state, name in re.findall(r"^(holds|DIFFERS|unclear) +([\w-]+):", output, re.MULTILINE)
    }


def test_all_facts_hold_on_the_emulator(emulator, azurite, tmp_path):
    container = azurite.new_container()
    url = f"{container.url.partition('?')[0]}?{azurite.sas(container=container.container_name, permission='rwdl')}"
    done = ask(emulator, "--container-url", url, "--report", str(tmp_path / "report.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    fast = {name for name, probe in PROBES.items() if probe.needs != "minutes"}
    assert states(done.stdout) == dict.fromkeys(fast, "holds")
    assert "one node of Standard_D2s_v3" in done.stdout and left(emulator) == []
    assert list(container.list_blobs()) == []
    text = (tmp_path / "report.json").read_text()
    assert "sig=" in text and not re.search(r"sig=(?!\(removed\))", text)
    report = json.loads(text)
    assert len(report["facts"]) == len(fast) and all(fact["exchanges"] for fact in report["facts"])
    assert not re.search(r"SharedKey (?!realm)\S+:(?!\(removed\))", text)
    assert emulator.account not in text and (emulator.key in text) is False


def test_a_wrong_emulator_differs_where_it_is_wrong():
    wanted = (
        *("pool-not-found", "defaults-of-tasks", "environment", "precedence", "spelling"),
        *("container-settings", "filter-on-transitions", "retention"),
    )
    with running_emulator(program=("-c", WRONG)) as emulator:
        done = ask(emulator, *(word for name in wanted for word in ("--only", name)))
        assert left(emulator) == []
    assert done.returncode == 1
    assert states(done.stdout) == {
        "pool-not-found": "DIFFERS",
        "defaults-of-tasks": "DIFFERS",
        "environment": "DIFFERS",
        "precedence": "holds",
        "spelling": "holds",
        "container-settings": "holds",
        "filter-on-transitions": "holds",
        "retention": "DIFFERS",
    }
    assert "8 facts: 4 hold, 4 differ, 0 unclear." in done.stdout
    assert '"P1D"' in done.stdout and "410 PoolNotFound" in done.stdout
    assert f"line '| {PROBES['environment'].row}'" in done.stdout


@pytest.mark.parametrize("name", sorted(PROBES))
def test_each_probe_names_its_line_of_the_page(name):
    assert any(line.startswith("| ") and PROBES[name].row in line for line in PAGE.splitlines()) or (
        PROBES[name].row in PAGE
    )
    assert PROBES[name].certainty in ("recorded", "documented", "reported", "chosen")


def test_what_was_made_goes_also_when_it_is_interrupted(emulator):
    context = Context(Wire(Account(emulator.url, emulator.account, emulator.key)), "interrupted")
    chosen = [PROBES["defaults-of-pools"], PROBES["durations"], PROBES["environment"]]
    with closing(run(context, chosen, print)) as results:
        assert next(results).held
        assert left(emulator)
    assert left(emulator) == [] and probes.__all__


def test_an_answer_on_the_way_that_is_not_expected_leaves_the_fact_open(emulator):
    context = Context(Wire(Account(emulator.url, emulator.account, emulator.key)), "full.name")
    (result,) = run(context, [PROBES["durations"]], print)
    assert result.held is None and "400 InvalidPropertyValue" in result.problem


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "nothing"], "There is no probe 'nothing'; --list names them all."),
        (["--account-url", "batch"], "is not a URL such as"),
    ],
)
def test_what_can_not_be_asked(emulator, options, said):
    done = ask(emulator, *options)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_nothing_that_costs_begins_unasked(emulator):
    done = ask(emulator, "--account-url", "https://account.westeurope.batch.azure.com")
    assert done.returncode == 2 and "one node" in done.stdout and "--yes" in done.stderr


def test_the_list(emulator):
    listed = ask(emulator, "--list", "--without-nodes").stdout.splitlines()
    assert len(listed) == sum(probe.needs == "nothing" for probe in PROBES.values())


def test_secrets_are_removed():
    wire = Wire(Account("https://acct.r.batch.azure.com", "acct", "a2V5"))
    text = 'https://x/c?sv=1&sig=abc%3D&se=2 "password": "pw" SharedKey acct:c2ln Bearer eyJ0 a2V5 https://acct.r'
    clean = wire.clean(text)
    assert not re.search("abc|pw|c2ln|eyJ0|a2V5|acct", clean) and "se=2" in clean


def test_without_a_service_there_is_nothing_to_ask():
    with pytest.raises(ValueError, match="AZ_BATCH_ACCOUNT_URL"):
        command.account_of(type("Options", (), {"account_url": None, "account_name": None}), {})


def test_the_page_says_of_each_line_how_sure_it_is():
    known = {"recorded", "documented", "reported", "chosen", "own", "settled"}
    column, rows = 0, 0
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if not line.startswith("|"):
            column = 0
        elif "how sure" in cells:
            column = cells.index("how sure")
        elif column and not set(line) <= set("|- "):
            rows += 1
            assert cells[column].split()[0] in known, line
    assert rows > 150
