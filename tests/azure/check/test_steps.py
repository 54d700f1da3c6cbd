"""Steps and their table, and the sentence that a failed run is known by."""

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.check.node import reason
from snakemake.azure.check.steps import Steps


def fail():
    raise WorkflowError("two\nlines at https://a/?sv=1&sig=c2VjcmV0c2VjcmV0")


def test_what_needs_a_failed_step_is_not_tried():
    lines, now = [], iter([0.0, 1.5, 2.0, 2.25])
    steps = Steps(lines.append, lambda: next(now))
    first = steps.do("first", lambda: ("value", "well"))
    second = steps.do("second", fail, first)
    assert steps.do("third", lambda: (1, ""), first, second) is None
    assert [line.split()[0] for line in lines] == ["ok", "FAILED", "not"]
    assert "1.5 s" in lines[0] and "two lines" in lines[1] and "c2VjcmV0" not in lines[1]
    assert steps.failed == 1


def test_the_sentence_of_a_run():
    ended = ["Azure Batch: deleted the pool p.", "Exiting because a job execution failed.", "WorkflowError:"]
    ended += ["At least one job did not complete successfully."]
    assert reason(["Select jobs", "PoolError:", "No quota.", *ended]) == "No quota."
    assert (
        reason(["Error in rule check:", "    message: It exited with code 1.", *ended])
        == "It exited with code 1."
    )
    assert reason(["--az-batch-nodes is for a new pool."]) == "--az-batch-nodes is for a new pool."
    assert reason([]) == "The run ended without a word."
