"""What a node gives to tasks, and how tasks end. All on one node."""

from ..probe import Context, probe


@probe(
    "A task's environment: what it has, and what it has not.",
    {
        "PATH": "shared, wd",
        "USER": "_azbatch",
        "AZ_BATCH_TASK_USER": "_azbatch",
        "AZ_BATCH_TASK_USER_IDENTITY": "PoolNonAdmin",
        "LANG": None,
        "TMPDIR": None,
        "missing": [],
    },
    "environment variables",
    "recorded",
    "node",
)
def environment(c: Context):
    task, _ = c.run("env", "env")
    seen = dict(line.split("=", 1) for line in c.output(task).splitlines() if "=" in line)
    ends = [seen.get("AZ_BATCH_NODE_SHARED_DIR"), seen.get("AZ_BATCH_TASK_WORKING_DIR")]
    names = ("USER", "AZ_BATCH_TASK_USER", "AZ_BATCH_TASK_USER_IDENTITY", "LANG", "TMPDIR")
    wanted = (
        "ACCOUNT_NAME", "ACCOUNT_URL", "CERTIFICATES_DIR", "JOB_ID", "NODE_ID", "NODE_IS_DEDICATED",
        "NODE_MOUNTS_DIR", "NODE_ROOT_DIR", "NODE_SHARED_DIR", "NODE_STARTUP_DIR", "NODE_STARTUP_WORKING_DIR",
        "POOL_ID", "RESERVED_DISK_SPACE_BYTES", "TASK_DIR", "TASK_ID", "TASK_WORKING_DIR",
    )  # fmt: skip
    return {
        "PATH": "shared, wd" if seen["PATH"].split(":")[-2:] == ends else seen["PATH"],
        **{name: seen.get(name) for name in names},
        "missing": [name for name in wanted if f"AZ_BATCH_{name}" not in seen],
    }


@probe("A task's directory.", ["certs", "stderr.txt", "stdout.txt", "wd"], "task files", "reported", "node")
def task_directory(c: Context):
    task, _ = c.run("directory", "true")
    return sorted(file["name"] for file in c.must("GET", f"{task}/files").json["value"])


@probe(
    "A node's directories.",
    ["applications", "fsmounts", "shared", "startup", "volatile", "workitems"],
    "node files",
    "recorded",
    "node",
)
def node_directory(c: Context):
    node = c.must("GET", f"/pools/{c.node_pool}/nodes").json["value"][0]["id"]
    files = c.must("GET", f"/pools/{c.node_pool}/nodes/{node}/files").json["value"]
    return sorted(file["name"] for file in files)


@probe(
    "A command that a signal ended has the signal's negative number as its exit code.",
    -9,
    "an exit code of a command that a signal ended",
    "reported",
    "node",
)
def ended_by_a_signal(c: Context):
    return c.run("signal", "/bin/sh -c 'kill -9 $$'")[1].get("exitCode")


@probe(
    "How a command fails.",
    [3, "failure", "usererror", "FailureExitCode"],
    "spelling of results, status values",
    "recorded",
    "node",
)
def failed_command(c: Context):
    _, info = c.run("fails", "/bin/sh -c 'exit 3'")
    failure = info["failureInfo"]
    return [info["exitCode"], str(info["result"]).lower(), str(failure["category"]).lower(), failure["code"]]


@probe("A program that there is not.", [None, "CommandProgramNotFound"], "tasks: create", "recorded", "node")
def program_not_found(c: Context):
    _, info = c.run("program", "no-such-program-here")
    return [info.get("exitCode"), info["failureInfo"]["code"]]


@probe(
    "A retry goes on in the same directory, and counts.",
    [0, 1, "first\n"],
    "retries",
    "documented",
    "node",
)
def retries(c: Context):
    command = "/bin/sh -c 'test -e seen && cat seen && exit 0; echo first > seen; exit 1'"
    task, info = c.run("retry", command, constraints={"maxTaskRetryCount": 1})
    return [info["exitCode"], info["retryCount"], c.output(task)]


@probe(
    "A task whose time is over has failed with TaskEnded and has no exit code.",
    [None, "TaskEnded"],
    "an exit code of a task that was terminated",
    "chosen",
    "node",
)
def out_of_time(c: Context):
    _, info = c.run("time", "sleep 600", constraints={"maxWallClockTime": "PT5S"})
    return [info.get("exitCode"), info["failureInfo"]["code"]]


@probe(
    "A download of a range is answered with 200 and the part.",
    [200, "ell"],
    "ranged downloads",
    "chosen",
    "node",
)
def ranged_download(c: Context):
    task, _ = c.run("range", "/bin/echo hello")
    answer = c.send("GET", f"{task}/files/stdout.txt", headers={"ocp-range": "bytes=1-3"})
    return [answer.status, answer.body.decode()]


@probe(
    "A task's entity tag stays when its state changes.",
    True,
    "does a task's entity tag change with its state",
    "chosen",
    "node",
)
def tag_of_a_task(c: Context):
    path = c.task(c.job("tags", c.node_pool), "t", "sleep 2")
    before = c.must("GET", path).json["eTag"]
    c.completed(path)
    return c.must("GET", path).json["eTag"] == before


@probe(
    "A resource file with an absolute path is written there.",
    [0, "AZ_BATCH"],
    "resource files",
    "reported",
    "node",
)
def absolute_path_of_a_resource_file(c: Context):
    """The file is one that a server on the node itself gives, so that no storage account is needed."""
    serve = (
        "/bin/sh -c 'mkdir -p served && printf AZ_BATCH > served/a && cd served && "
        "exec timeout 60 python3 -m http.server 18923 --bind 127.0.0.1'"
    )
    job = c.job("absolute", c.node_pool)
    server = c.task(job, "server", serve)
    c.until(server, lambda task: task["state"] == "running")
    # Running is not listening yet.
    ask = 'python3 -c "import urllib.request as r; r.urlopen(\\"http://127.0.0.1:18923/a\\")"'
    c.completed(c.task(job, "listens", f"/bin/sh -c 'until {ask} 2>/dev/null; do sleep 0.2; done'"))
    target = f"/tmp/{c.name('file')}"
    files = [{"httpUrl": "http://127.0.0.1:18923/a", "filePath": target, "fileMode": "0777"}]
    more = {"resourceFiles": files, "constraints": {"maxTaskRetryCount": 0}}
    reader = c.task(job, "reader", f"/bin/sh -c 'cat {target} && rm {target}'", **more)
    info = c.completed(reader)
    c.must("POST", f"{server}/terminate")
    return [info.get("exitCode"), c.output(reader) if info.get("exitCode") == 0 else info.get("failureInfo")]


@probe(
    "A disabled job completes when all of its tasks are.",
    ["completed", "AllTasksComplete"],
    "exit conditions, dependencies",
    "reported",
    "node",
)
def disabled_by_a_task(c: Context):
    path = c.job("disabled", c.node_pool, onTaskFailure="performexitoptionsjobaction")
    c.task(path, "t", "/bin/sh -c 'exit 1'", exitConditions={"default": {"jobAction": "disable"}})
    c.must("PATCH", path, {"onAllTasksComplete": "terminatejob"})
    job = c.until(path, lambda job: job["state"] == "completed", 300)
    return [job["state"], job["executionInfo"].get("terminateReason")]


@probe(
    "A task finds the job's environment, its own over it, and no shell reads its command line.",
    ["own job $HOME\n"],
    "environment variables",
    "documented",
    "node",
)
def environment_of_the_job(c: Context):
    common = [{"name": "A", "value": "job"}, {"name": "B", "value": "job"}]
    job = c.job("common", c.node_pool, commonEnvironmentSettings=common)
    own = [{"name": "A", "value": "own"}]
    c.completed(task := c.task(job, "t", "/bin/sh -c 'echo $A $B \\$HOME'", environmentSettings=own))
    return [c.output(task)]


@probe(
    "A node whose scheduling is disabled with taskcompletion is offline, and takes no task until it is enabled.",
    ["200", "offline", "active", "200"],
    "nodes: list, get, disablescheduling, enablescheduling",
    "documented",
    "node",
)
def disabled_node(c: Context):
    path = f"/pools/{c.node_pool}/nodes"
    node = f"{path}/{c.must('GET', path).json['value'][0]['id']}"
    told = c.send("POST", f"{node}/disablescheduling", {"nodeDisableSchedulingOption": "taskcompletion"}).told
    state = c.until(node, lambda shown: shown["state"] == "offline", 120)["state"]
    task = c.task(c.job("offline", c.node_pool))
    c.wait(2)
    waits = c.must("GET", task).json["state"]
    again = c.send("POST", f"{node}/enablescheduling").told
    c.completed(task)
    return [told, state, waits, again]


@probe(
    "A task that ran is found with its node, and its files when its directory is not kept any more are not.",
    [True, "409 TaskFilesCleanedup"],
    "retention, task and job wall clocks",
    "chosen",
    "node",
)
def retention(c: Context):
    task, info = c.run("retention", "true", constraints={"retentionTime": "PT0S"})
    node = c.must("GET", task).json["nodeInfo"]["nodeId"]
    for _ in range(300):
        if (answer := c.send("GET", f"{task}/files")).status != 200:
            return [bool(node) and info["exitCode"] == 0, answer.told]
        c.wait(0.2)
    return [bool(node), "still there"]
