"""Jobs, their attempts, and what came after those that failed."""

from snakemake.azure.report.attempts import After, jobs
from snakemake.azure.report.facts import facts

from .journals import Written


def test_attempts_of_a_job_are_known_by_its_rule_and_wildcards():
    run = Written()
    run.task("a-1", 10, 20, success=False, wildcards={"s": "a"})
    run.task("b-1", 10, 20, success=False, wildcards={"s": "b"})
    run.task("a-2", 30, 40, wildcards={"s": "a"})
    run.task("c-1", 30, 40, success=False, wildcards={"s": "c"})
    run.task("c-2", 50, 60, success=False, wildcards={"s": "c"})
    run.note(70, "submitted", task="d-1", rule="map", pool="p", wildcards={"s": "d"})
    found = jobs(run.events)
    assert (found.jobs, found.succeeded, found.failed, found.open, found.retries) == (4, 1, 2, 1, 2)
    after = {attempt.task: attempt.after for attempt in found.failures}
    assert after == {"b-1": After.NOTHING, "c-2": After.NOTHING, "a-1": After.SUCCEEDED, "c-1": After.FAILED}
    assert list(after)[:2] == ["b-1", "c-2"], "what failed for good comes first"
    assert found.attempts["a-2"].number == 2 and found.attempts["a-1"].seconds == 10


def test_groups_are_known_by_their_ids():
    run = Written()
    for task, success in (("g-gabc-1", False), ("g-gabc-2", True), ("g-gdef-1", True)):
        run.task(task, 10, 20, rule="g", group=True, wildcards={}, success=success)
    found = jobs(run.events)
    assert (found.jobs, found.succeeded, found.failed) == (2, 2, 0)


def test_a_task_that_goes_on_under_another_client_is_one_attempt():
    run = Written()
    run.note(10, "submitted", task="a-1", rule="map", pool="p", wildcards={"s": "a"})
    run.note(50, "run", run="two", lease_minutes=30)
    run.task("a-1", 10, 60, wildcards={"s": "a"})
    found = jobs(run.events)
    assert (found.jobs, found.succeeded, found.retries) == (1, 1, 0)


def test_a_run_and_the_one_that_took_it_over():
    run = Written()
    run.note(20, "outage", service="Azure Batch", why="503", seconds=5.0)
    run.note(40, "outage_over", service="Azure Batch", seconds=25.0)
    run.note(
        100, "run", run="two", account="https://a", prefix="c/p", workflow="w", version="9", lease_minutes=30
    )
    run.note(150, "requests", services={"Azure Batch": 7})
    run.note(160, "run_over", run="two", how="interrupted")
    found = facts(run.events)
    assert found.runs == ["one", "two"] and found.how == "interrupted"
    assert (found.account, found.prefix, found.workflow) == ("https://a", "c/p", "w")
    assert found.silences == [(run.at(40), run.at(100))]
    (outage,) = found.outages
    assert (outage.began, outage.seconds) == (run.at(15), 25.0)
    assert found.requests == {"Azure Batch": 7} and found.duration.total_seconds() == 160


def test_a_run_that_has_not_ended_says_nothing_of_its_end():
    run = Written()
    run.note(10, "run_over", run="one", how="detached")
    run.note(20, "run", run="two", lease_minutes=30)
    assert facts(run.events).how == ""
