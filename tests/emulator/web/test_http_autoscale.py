"""Autoscaling as the real client sees it."""

from datetime import timedelta

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError
from support.emulator import running_emulator, wait_until

from ..helpers import make_job, make_pool, task
from ..raw import error, send

RECORDED = "$TargetDedicatedNodes={};$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue"


@pytest.fixture(scope="module")
def fast_emulator():
    """Its clock runs 60 times as fast: an evaluation interval of five minutes takes five seconds."""
    with running_emulator(time_scale=60, runner="none") as emulator:
        yield emulator


@pytest.fixture
def client(fast_emulator):
    fast_emulator.clean()
    return fast_emulator.client(retry_total=0)


def enable(client, formula=None, minutes=None, pool_id="pool"):
    interval = timedelta(minutes=minutes) if minutes else None
    client.enable_pool_auto_scale(
        pool_id,
        models.BatchPoolEnableAutoScaleOptions(
            auto_scale_formula=formula, auto_scale_evaluation_interval=interval
        ),
    )


def evaluate(client, formula, pool_id="pool"):
    return client.evaluate_pool_auto_scale(
        pool_id, models.BatchPoolEvaluateAutoScaleOptions(auto_scale_formula=formula)
    )


def refused(call, *arguments, **options):
    with pytest.raises(HttpResponseError) as caught:
        call(*arguments, **options)
    return caught.value.status_code, caught.value.error.code


def targets(client, pool_id="pool"):
    pool = client.get_pool(pool_id)
    return pool.target_dedicated_nodes, pool.current_dedicated_nodes, pool.allocation_state


def test_enable_evaluate_disable(client):
    make_pool(client, nodes=1)
    enable(client, "$TargetDedicatedNodes=2", 6)
    pool = client.get_pool("pool")
    assert pool.enable_auto_scale is True and pool.auto_scale_formula == "$TargetDedicatedNodes=2"
    assert pool.auto_scale_evaluation_interval == timedelta(minutes=6)
    wait_until(lambda: targets(client) == (2, 2, "steady"))
    run = client.get_pool("pool").auto_scale_run
    assert run.results == RECORDED.format(2) and run.error is None and run.timestamp
    tried = evaluate(client, "$TargetDedicatedNodes=3")
    assert tried.results == RECORDED.format(3) and tried.error is None
    wrong = evaluate(client, "$something_useless")
    assert wrong.error.code == "AutoScalingFormulaEvaluationError" and wrong.results == RECORDED.format(2)
    assert wrong.error.error_values[0].value.startswith("Line 1, Col 1: ")
    assert targets(client)[0] == 2, "trying a formula changes nothing"
    size = models.BatchPoolResizeOptions(target_dedicated_nodes=1)
    assert refused(client.begin_resize_pool, "pool", size) == (409, "OperationInvalidForCurrentState")
    client.disable_pool_auto_scale("pool")
    pool = client.get_pool("pool")
    assert (
        pool.enable_auto_scale is False and pool.auto_scale_run is None and pool.target_dedicated_nodes == 2
    )
    assert refused(evaluate, client, "") == (409, "OperationInvalidForCurrentState")
    client.begin_resize_pool("pool", size, polling_interval=0.1).wait(20)
    assert targets(client) == (1, 1, "steady")


def test_a_pool_that_is_born_with_a_formula(client):
    formula = "n = max(0, $PendingTasks.GetSample(1)); $TargetDedicatedNodes = min(2, n);"
    make_pool(
        client,
        wait=False,
        target_dedicated_nodes=None,
        enable_auto_scale=True,
        auto_scale_formula=formula,
        auto_scale_evaluation_interval=timedelta(minutes=5),
        task_slots_per_node=1,
    )
    pool = client.get_pool("pool")
    assert (pool.auto_scale_formula, pool.target_dedicated_nodes) == (formula, 0)
    make_job(client)
    # All at once: an evaluation that saw one of them alone would ask for one node.
    client.create_task_collection("job", models.BatchTaskGroup(task_values=[task(f"t{i}") for i in range(3)]))

    def evaluated() -> bool:
        run = client.get_pool("pool").auto_scale_run
        return run is not None and run.results.startswith(RECORDED.format(2) + ";n=")

    wait_until(evaluated)
    wait_until(lambda: {t.state for t in client.list_tasks("job")} == {"completed"})
    wait_until(lambda: targets(client) == (0, 0, "steady"))
    (found,) = client.list_pools(filter="enableAutoScale eq true")
    assert found.id == "pool" and not list(client.list_pools(filter="enableAutoScale eq false"))


def test_insufficient_data_over_http(client):
    make_pool(client, nodes=0)
    enable(client, "$TargetDedicatedNodes = 0")
    found = evaluate(client, "$TargetDedicatedNodes = avg($ActiveTasks.GetSample(TimeInterval_Hour))").error
    assert (found.code, found.message) == (
        "InsufficientSampleData",
        "Autoscale evaluation failed due to insufficient sample data",
    )
    (detail,) = found.error_values
    assert (detail.name, detail.value) == (
        "Message",
        "Line 1, Col 51: Insufficient data from data set: $ActiveTasks wanted 70%, received 0%",
    )


def test_refusals(emulator):
    """On a clock of the true speed, because of the 30 seconds."""
    client = emulator.client(retry_total=0)
    make_pool(client, nodes=0)
    assert refused(enable, client) == (400, "MissingRequiredProperty")
    assert refused(enable, client, "x = ") == (400, "AutoScalingFormulaSyntaxError")
    assert refused(enable, client, "x" * 9000) == (400, "AutoScalingFormulaTooLong")
    assert refused(enable, client, "x = 1", 4) == (400, "InvalidPropertyValue")
    assert refused(enable, client, "x = 1", pool_id="none") == (404, "PoolNotFound")
    assert client.get_pool("pool").enable_auto_scale is False
    enable(client, "x = 1")
    assert refused(enable, client, "x = 2") == (503, "TooManyEnableAutoScaleRequests")
    assert refused(evaluate, client, "x = (") == (400, "AutoScalingFormulaSyntaxError")


def test_not_while_the_pool_resizes(emulator):
    client = emulator.client(retry_total=0)
    make_pool(client)
    make_job(client)
    client.create_task("job", task("t", "sleep 300"))
    wait_until(lambda: client.get_task("job", "t").state == "running")
    body = {"targetDedicatedNodes": 0, "nodeDeallocationOption": "taskcompletion"}
    assert send(emulator, "POST", "/pools/pool/resize", body).status_code == 202
    assert refused(enable, client, "x = 1") == (409, "PoolBeingResized")
    client.terminate_task("job", "t")
    wait_until(lambda: targets(client) == (0, 0, "steady"))
    enable(client, "x = 1")


def test_on_the_wire(emulator):
    make_pool(emulator.client(), nodes=0)
    body = {"autoScaleFormula": "$TargetDedicatedNodes = 0 // é", "autoScaleEvaluationInterval": "PT06M00S"}
    etag = send(emulator, "GET", "/pools/pool").headers["ETag"]
    error(
        send(emulator, "POST", "/pools/pool/enableautoscale", body, headers={"If-Match": "0x1"}),
        412,
        "ConditionNotMet",
    )
    enabled = send(emulator, "POST", "/pools/pool/enableautoscale", body, headers={"If-Match": etag})
    assert enabled.status_code == 200 and enabled.headers["ETag"] != etag and not enabled.content
    pool = send(emulator, "GET", "/pools/pool").json()
    assert (pool["autoScaleEvaluationInterval"], pool["autoScaleFormula"]) == (
        "PT6M",
        body["autoScaleFormula"],
    )
    tried = send(emulator, "POST", "/pools/POOL/evaluateautoscale", {"autoScaleFormula": ""})
    assert tried.status_code == 200 and "ETag" not in tried.headers
    assert set(tried.json()) == {"odata.metadata", "timestamp", "results"}
    details = error(
        send(emulator, "POST", "/pools/pool/evaluateautoscale", {"autoScaleFormula": "x = 5 % 2"}),
        400,
        "AutoScalingFormulaSyntaxError",
    )
    assert details == {"Message": "Line 1, Col 7: Unexpected '%'"}
    error(
        send(emulator, "POST", "/pools/pool/evaluateautoscale", {}), 400, "MissingRequiredProperty"
    )  # fmt: skip
    assert send(emulator, "POST", "/pools/pool/disableautoscale").status_code == 200
    error(send(emulator, "POST", "/pools/none/disableautoscale"), 404, "PoolNotFound")
