"""Tasks that need no node to be asked about."""

from ..probe import Context, probe

CANNOT = "The files of the specified task cannot be accessed as the task "


@probe(
    "Dependencies need the job's consent; empty lists do not.",
    ["400 UnsupportedProperty", "201"],
    "exit conditions, dependencies",
    "reported",
)
def dependencies_without_consent(c: Context):
    job = c.job("depends")
    lists: tuple[dict, ...] = ({"taskIds": ["a"]}, {"taskIds": []})
    bodies = [{"id": f"t{i}", "commandLine": "true", "dependsOn": given} for i, given in enumerate(lists)]
    return [c.send("POST", f"{job}/tasks", body).told for body in bodies]


@probe(
    "Files of a task that has not run can't be listed.",
    ["409 OperationInvalidForCurrentState", True, "409 OperationInvalidForCurrentState", True],
    "task files: list, get, head, delete",
    "reported",
)
def files_of_what_has_not_run(c: Context):
    task = c.task(c.job("files"))
    early = c.send("GET", f"{task}/files")
    c.must("POST", f"{task}/terminate")
    late = c.send("GET", f"{task}/files")
    return [
        early.told,
        early.details.get("Reason", "").startswith(CANNOT + "state is still active"),
        late.told,
        late.details.get("Reason", "").startswith(CANNOT + "moved to completed state without running"),
    ]


@probe(
    "A filter on exit codes does not find tasks without one.",
    0,
    "`$filter`",
    "reported",
)
def filter_on_exit_codes(c: Context):
    job = c.job("codes")
    c.task(job)
    return len(c.must("GET", f"{job}/tasks", _filter="executionInfo/exitCode ne 0").json["value"])


@probe(
    "A collection has at most 100 tasks.",
    "413 RequestBodyTooLarge",
    "more than 100 tasks in a collection",
    "chosen",
)
def tasks_in_a_collection(c: Context):
    tasks = [{"id": f"t{i}", "commandLine": "true"} for i in range(101)]
    return c.send("POST", f"{c.job('many')}/addtaskcollection", {"value": tasks}).told


@probe(
    "A task that is there already is an error of its own in a collection.",
    ["200", "clienterror", "TaskExists"],
    "tasks: create, addtaskcollection",
    "documented",
)
def task_exists(c: Context):
    job = c.job("again")
    c.task(job)
    answer = c.must("POST", f"{job}/addtaskcollection", {"value": [{"id": "T", "commandLine": "true"}]})
    (row,) = answer.json["value"]
    return [answer.told, str(row["status"]).lower(), row["error"]["code"]]


@probe(
    "What a task has that was not given.",
    [1, "P7D", 0, "pool", "nonadmin"],
    "echoed defaults",
    "recorded",
)
def defaults_of_tasks(c: Context):
    shown = c.must("GET", c.task(c.job("defaults"))).json
    user = shown["userIdentity"]["autoUser"]
    return [
        shown["requiredSlots"],
        shown["constraints"]["retentionTime"],
        shown["constraints"]["maxTaskRetryCount"],
        str(user["scope"]).lower(),
        str(user["elevationLevel"]).lower(),
    ]


@probe(
    "A task may ask for more slots than its pool's nodes have.",
    "201",
    "scheduling",
    "reported",
)
def more_slots_than_there_are(c: Context):
    pool = c.pool("slots").rpartition("/")[2]
    body = {"id": "t", "commandLine": "true", "requiredSlots": 4}
    return c.send("POST", f"{c.job('slots', pool)}/tasks", body).told


@probe(
    "Retries of a job are those of tasks without constraints; constraints without a number say 0.",
    [2, 0],
    "the job's maxTaskRetryCount for a task with constraints",
    "chosen",
)
def retries_of_the_job(c: Context):
    job = c.job("retries", constraints={"maxTaskRetryCount": 2})
    plain = c.must("GET", c.task(job, "plain")).json
    own = c.must("GET", c.task(job, "own", constraints={"retentionTime": "PT1H"})).json
    return [shown["constraints"]["maxTaskRetryCount"] for shown in (plain, own)]


@probe(
    "A task that was terminated before it ran is complete, has failed, and has no exit code.",
    ["completed", "failure", None, "TaskEnded"],
    "an exit code of a task that was terminated",
    "chosen",
)
def terminated_before_it_ran(c: Context):
    task = c.task(c.job("killed"))
    c.must("POST", f"{task}/terminate")
    shown = c.must("GET", task).json
    info = shown["executionInfo"]
    failure = info.get("failureInfo", {})
    return [shown["state"], str(info.get("result")).lower(), info.get("exitCode"), failure.get("code")]


@probe(
    "Tasks are found by their state and by when it changed.",
    ["200", ["t"], []],
    "`$filter`",
    "documented",
)
def filter_on_transitions(c: Context):
    job = c.job("filter")
    c.must("POST", f"{c.task(job)}/terminate")
    when = "state eq 'completed' and stateTransitionTime ge DateTime'{}'"
    answer = c.send("GET", f"{job}/tasks", _filter=when.format("2020-01-01T00:00:00.0Z"), _select="id,state")
    later = c.must("GET", f"{job}/tasks", _filter=when.format("2099-01-01T00:00:00.0Z")).json["value"]
    return [answer.told, [task["id"] for task in answer.json["value"]], later]


@probe("`$select` gives what it names, and nothing else.", [["id", "state"]], "`$select`", "documented")
def select(c: Context):
    c.task(job := c.job("select"))
    rows = c.must("GET", f"{job}/tasks", _select="id,state,executionInfo/exitCode").json["value"]
    return [sorted(name for name in row if name in ("id", "state", "commandLine")) for row in rows]


@probe(
    "A task of a container needs a pool for containers; one without a container is taken there.",
    ["400 InvalidPropertyValue", "201"],
    "container settings",
    "reported",
)
def container_settings(c: Context):
    machine = c.machine.configuration
    plain = c.pool("plain").rpartition("/")[2]
    image = {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2404"}
    machine = {
        "imageReference": image,
        "nodeAgentSKUId": c.machine.agent,
        "containerConfiguration": {"type": "dockerCompatible"},
    }
    containers = c.pool("containers", virtualMachineConfiguration=machine).rpartition("/")[2]
    body = {"id": "t", "commandLine": "true", "containerSettings": {"imageName": "ubuntu"}}
    refused = c.send("POST", f"{c.job('plain', plain)}/tasks", body).told
    taken = c.send("POST", f"{c.job('boxed', containers)}/tasks", {"id": "t", "commandLine": "true"}).told
    return [refused, taken]


@probe(
    "Tasks of a collection are checked one by one: what is wrong with one says nothing of the others.",
    ["clienterror", "success"],
    "tasks: create, addtaskcollection",
    "documented",
)
def collection_with_a_mistake(c: Context):
    tasks = [{"id": "wrong one", "commandLine": "true"}, {"id": "right", "commandLine": "true"}]
    answer = c.must("POST", f"{c.job('mixed')}/addtaskcollection", {"value": tasks})
    return [str(row["status"]).lower() for row in answer.json["value"]]
