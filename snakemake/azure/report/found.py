"""All that is found in a journal, once: a report has many pages of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from snakemake.azure.report.attempts import Jobs, jobs
from snakemake.azure.report.costs import Costs, costs
from snakemake.azure.report.facts import Facts, facts
from snakemake.azure.report.journal import Event


@dataclass(frozen=True)
class Found:
    """The events, and what they come to."""

    events: Sequence[Event]
    facts: Facts
    jobs: Jobs
    costs: Costs

    @classmethod
    def of(cls, events: Sequence[Event]) -> "Found":
        return cls(events, facts(events), jobs(events), costs(events))
