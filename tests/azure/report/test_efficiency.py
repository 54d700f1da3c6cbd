"""What rules asked for and used, and a profile that Snakemake takes for the next run."""

import pytest
import snakemake.cli
import yaml
from snakemake.exceptions import WorkflowError

from snakemake.azure import cli
from snakemake.azure.report import journal
from snakemake.azure.report.command import table, write_efficiency
from snakemake.azure.report.efficiency import efficiency

from .journals import Written


def used(megabytes=300, seconds=100.0, cores=1.0, code=0, of="container"):
    return {
        "code": code, "memory_bytes": int(megabytes * 1e6), "memory_of": of, "cpu_seconds": cores * seconds,
        "job_seconds": seconds, "start_seconds": 1.0, "stage_in_seconds": 0.0, "stage_out_seconds": 0.0,
    }  # fmt: skip


def only(run):
    run.node(0)
    run.gone(3600)
    (rule,) = efficiency(run.events).rules
    return rule


def test_the_most_that_was_used_and_a_margin():
    run = Written()
    asked = {"threads": 4, "mem_mb": 8000, "runtime": 600}
    run.task("a", 0, 600, slots=4, used=used(2000, 590, 1.5), **asked)
    run.task("b", 0, 1200, slots=4, used=used(2500, 1190, 1.2), **asked)
    rule = only(run)
    assert rule.settings() == {"mem_mb": 3000, "runtime": 30, "threads": 2}
    # 1,800 slot-seconds of 4 slots, of which 2 are enough, at 0.001 for a node's second
    assert rule.cost == pytest.approx(1.8) and rule.saving == {"USD": pytest.approx(0.9)}


def test_looks_at_processes_have_a_larger_margin():
    run = Written()
    run.task("a", 0, 60, used=used(1000, of="processes"), mem_mb=4000)
    assert only(run).enough["mem_mb"] == 1300


def test_never_below_what_failed():
    run = Written()
    run.task("a", 0, 60, success=False, exit_code=137, used=used(400, code=137), mem_mb=1000)
    run.task("b", 60, 120, used=used(500), mem_mb=2000)
    run.task("c", 0, 600, success=False, why="too long", mem_mb=2000, runtime=10)
    rule = only(run)
    assert rule.enough == {"mem_mb": 1200, "runtime": 15} and rule.failures == 2


@pytest.mark.parametrize("peak, enough", [(300, 600), (1500, 2000), (None, 2000)])
def test_what_may_have_failed_of_its_memory_gets_no_less(peak, enough):
    run = Written()
    run.task("a", 0, 60, success=False, used=used(peak, code=1) if peak else None, mem_mb=2000)
    run.task("b", 60, 120, used=used(500), mem_mb=4000)
    assert only(run).enough["mem_mb"] == enough


def test_nothing_is_known_of_rules_that_have_not_succeeded_or_not_been_measured():
    run = Written()
    run.task("a", 0, 60, success=False, used=used(code=1), mem_mb=1000)
    run.task("b", 0, 60, mem_mb=1000)
    assert only(run).settings() == {}


def test_threads_go_down_only_for_jobs_that_tell():
    run = Written()
    run.task("short", 0, 6, used=used(seconds=5.0, cores=0.5), threads=4)
    run.task("busy", 0, 60, "busy", used=used(seconds=50.0, cores=3.5), threads=4)
    run.task("one", 0, 60, "one", used=used(seconds=50.0, cores=0.2), threads=1)
    assert all("threads" not in rule.enough for rule in efficiency(run.events).rules)


def test_slots_that_somebody_has_set_are_no_saving():
    run = Written()
    run.task("a", 0, 60, slots=3, used=used(100), threads=1, mem_mb=4000)
    assert only(run).saving == {}


def test_more_than_was_asked_for_is_dearer():
    run = Written()
    run.task("a", 0, 100, slots=1, used=used(5000), threads=1, mem_mb=4000)
    assert only(run).saving == {"USD": pytest.approx(-100 / 4 * 0.001)}


@pytest.fixture
def folder(tmp_path):
    run = Written()
    run.node(0)
    run.task("a", 0, 600, "map", slots=4, used=used(2000, 590, 1.5), threads=4, mem_mb=8000, runtime=600)
    run.task("b", 0, 600, "fit", used=used(500), threads=1, mem_mb=4000, computed=["mem_mb"])
    run.task("c", 0, 600, "together", used=used(500), threads=1, mem_mb=4000, group=True)
    run.gone(3600)
    home = tmp_path / journal.HOME
    home.mkdir(parents=True)
    (home / "run.jsonl").write_bytes(b"".join(run.lines))
    (home / "empty.jsonl").write_bytes(run.lines[0])
    return tmp_path


def test_the_profile_is_one_for_snakemake(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    args = snakemake.cli.get_argument_parser().parse_args(["--az-batch-efficiency"])
    with pytest.raises(SystemExit) as end:
        cli.apply_arguments(args)
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert "mem_mb" in said and "4000*" in said and "would have cost 0.30 USD less" in said
    assert "as of 2026-01-01" in said
    text = (folder / "profile.yaml").read_text()
    assert yaml.safe_load(text) == {
        "set-threads": {"map": 2},
        "set-resources": {"map": {"mem_mb": 2400, "runtime": 15}, "fit": {"runtime": 15}},
    }
    assert "    # mem_mb: 600  # the rule computes it; asked for 4000, used 500 MB" in text
    parser = snakemake.cli.get_argument_parser(profiles=["profile.yaml"])
    taken = parser.parse_args([])
    assert taken.set_threads == {"map": 2} and taken.set_resources["map"]["mem_mb"] == 2400


def test_a_file_of_somebody_else_stays(folder):
    target = folder / "mine.yaml"
    target.write_text("jobs: 3\n")
    with pytest.raises(
        WorkflowError, match="mine.yaml is there and was not written by --az-batch-efficiency"
    ):
        write_efficiency(folder, target, print)
    assert target.read_text() == "jobs: 3\n"
    write_efficiency(folder, folder / "other.yaml", print)
    write_efficiency(folder, folder / "other.yaml", print)


def test_without_a_journal_it_says_where_it_looked(tmp_path):
    with pytest.raises(
        WorkflowError, match="No run on Azure Batch has left a journal in .*, or none that had jobs"
    ):
        write_efficiency(tmp_path, tmp_path / "p.yaml", print)


def test_a_table_has_columns(folder):
    run = journal.read(folder / journal.HOME / "run.jsonl")
    lines = table(efficiency(run))
    assert len({len(line) for line in lines}) == 1 and len(lines) == 4
