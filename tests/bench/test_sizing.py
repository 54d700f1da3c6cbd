"""The simulation of days: small ones, on the emulator's core."""

from dataclasses import replace
from random import Random

import pytest

from azure_batch_emulator.core.profile import NodeFaults
from azure_batch_emulator.service.profile_files import load_profile
from misc.bench.days import Client, Day, Job
from misc.bench.sizing import OURS, POLICIES, READY, Scenario, simulate
from misc.bench.stepped import SteppedBatch

REALISTIC = load_profile("realistic")


def day(jobs=12, seconds=900.0, last=5400.0):
    some = [Job("each", n, seconds, 4) for n in range(jobs)]
    return Day("small", [*some, Job("last", 0, last, 1, some)], most=4)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_all_policies_get_through_a_day(policy):
    got = simulate(day(), policy, REALISTIC)
    assert got.billed >= got.used > 0 and got.makespan > 1.5


def test_a_tail_keeps_one_node_and_is_no_later():
    got, ready = simulate(day(), OURS, REALISTIC), simulate(day(), READY, REALISTIC)
    assert got.nodes_at(got.makespan - 0.5) == 1 and ready.nodes_at(ready.makespan - 0.5) == 4
    assert got.makespan < ready.makespan + 0.1


@pytest.mark.parametrize("seed", range(2))
def test_a_service_that_gives_up_busy_nodes_ends_no_task_and_no_run(seed):
    profile = replace(REALISTIC, faults=NodeFaults(blind_resizes=1.0))
    jobs = [Job("each", n, Random(n).uniform(300, 3600), 1) for n in range(60)]
    rest = [Job("rest", n, 600, 2, [jobs[n]]) for n in range(20)]
    got = simulate(Day("mixed", [*jobs, *rest], most=10), OURS, profile, seed)
    assert got.work <= got.used, "every task ran to its end"


def test_spot_nodes_that_are_taken_back_do_not_end_the_day():
    faults = NodeFaults(preemptions_per_node_hour=1.0, low_priority_capacity=((1800.0, 0), (3600.0, None)))
    got = simulate(
        day(), OURS, replace(REALISTIC, faults=faults), scenario=Scenario(lambda _: day(), spot=True)
    )
    assert got.makespan > 1.5


def test_the_look_ahead_costs_what_comes_after_what_runs_and_not_what_the_dag_has():
    first = [Job("first", n, 600) for n in range(2_000)]
    then = [Job("then", n, 600, 1, [before]) for n, before in enumerate(first)]
    batch = SteppedBatch(REALISTIC, 1)
    client = Client(Day("chains", [*first, *then]), batch, batch.now)
    looked_at: list[Job] = []
    client.dag.needrun = lambda job: looked_at.append(job) or True  # type: ignore[method-assign]
    for job in first[:10]:
        client.ahead.begin(job, job.id)
    assert len(client.ahead()) == len(looked_at) == 10
