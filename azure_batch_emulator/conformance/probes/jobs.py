"""Jobs and their life."""

from ..probe import Context, probe


@probe(
    "A job can be read as soon as its creation was answered.",
    0,
    "consistency",
    "reported",
)
def consistency_of_jobs(c: Context):
    missing = 0
    for number in range(5):
        path = c.job(f"seen{number}")
        missing += sum(c.send("GET", path).status == 404 for _ in range(3))
    return missing


@probe("A job on a pool that there is not is taken.", "active", "jobs: create", "documented")
def job_without_its_pool(c: Context):
    return c.must("GET", c.job("early")).json["state"]


@probe(
    "A job without tasks that ends when all are complete ends at once.",
    "AllTasksComplete",
    "exit conditions, dependencies, onAllTasksComplete",
    "documented",
)
def job_without_tasks(c: Context):
    path = c.job("empty", onAllTasksComplete="terminatejob")
    shown = c.until(path, lambda job: job["state"] == "completed", 60)
    return shown["executionInfo"].get("terminateReason")


@probe(
    "The tasks of a job that was terminated stay active.",
    ["completed", "active"],
    "jobs: create",
    "documented",
)
def tasks_of_a_terminated_job(c: Context):
    task = c.task(path := c.job("ended"))
    c.must("POST", f"{path}/terminate", {"terminateReason": "why"})
    job = c.until(path, lambda job: job["state"] == "completed", 120)
    return [job["state"], c.must("GET", task).json["state"]]


@probe(
    "PATCH replaces each object as a whole: retries that are not given are 0 again.",
    [3, 0],
    "echoed defaults",
    "recorded",
)
def patch_of_constraints(c: Context):
    path = c.job("patch", constraints={"maxTaskRetryCount": 3})
    before = c.must("GET", path).json["constraints"]["maxTaskRetryCount"]
    c.must("PATCH", path, {"constraints": {"maxWallClockTime": "PT1H"}})
    return [before, c.must("GET", path).json["constraints"]["maxTaskRetryCount"]]


@probe("Durations are given back in normal form.", "P1D", "echoed defaults, normalised durations", "recorded")
def durations(c: Context):
    path = c.job("duration", constraints={"maxWallClockTime": "PT24H00M00S"})
    return c.must("GET", path).json["constraints"]["maxWallClockTime"]


@probe(
    "A preparation task's state can't be asked of a job without one.",
    "409 JobPreparationTaskNotSpecified",
    "missing preparation task",
    "chosen",
)
def no_preparation_task(c: Context):
    return c.send("GET", f"{c.job('noprep')}/jobpreparationandreleasetaskstatus").told


@probe("A terminateReason can't be given twice.", "409 JobCompleted", "jobs: create", "documented")
def terminating_twice(c: Context):
    path = c.job("twice")
    c.must("POST", f"{path}/terminate", {"terminateReason": "a"})
    c.until(path, lambda job: job["state"] == "completed", 120)
    return c.send("POST", f"{path}/terminate", {"terminateReason": "b"}).told


@probe(
    "A job's time limit can be made longer while it is active, by PATCH with its constraints alone.",
    ["200", "P2D", "active"],
    "jobs: create",
    "documented",
)
def longer_time_limit(c: Context):
    path = c.job("longer", constraints={"maxWallClockTime": "P1D"})
    told = c.send("PATCH", path, {"constraints": {"maxWallClockTime": "P2D"}}).told
    shown = c.must("GET", path).json
    return [told, shown["constraints"]["maxWallClockTime"], shown["state"]]


@probe(
    "What was made is in lists at once.",
    [True, True],
    "consistency",
    "chosen",
)
def lists_at_once(c: Context):
    job, pool = c.job("listed"), c.pool("listed")
    jobs = [f"/jobs/{row['id']}" for row in c.must("GET", "/jobs", _select="id").json["value"]]
    pools = [f"/pools/{row['id']}" for row in c.must("GET", "/pools", _select="id").json["value"]]
    return [job in jobs, pool in pools]


@probe("A job that is deleted, and is gone, is 404.", "404 JobNotFound", "jobs: create", "documented")
def deleted_job(c: Context):
    path = c.job("gone")
    c.must("DELETE", path)
    for _ in range(600):
        if (answer := c.send("GET", path)).status == 404:
            return answer.told
        c.wait(0.2)
    return "still there"


@probe(
    "A job on a pool can be made while the pool has no nodes, and a pool be deleted that has jobs.",
    ["active", "202", "active"],
    "jobs: create",
    "documented",
)
def pool_of_a_job(c: Context):
    pool = c.pool("taken")
    job = c.job("left", pool.rpartition("/")[2])
    before = c.must("GET", job).json["state"]
    return [before, c.send("DELETE", pool).told, c.must("GET", job).json["state"]]
