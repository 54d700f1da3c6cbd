"""Any order of requests, faults, timers and ends of runs: slots are never oversubscribed, no task is lost or runs twice
at once, what is over stays over, everything is shown as the client's models have it, and all comes to rest when the
runs end."""

from azure.batch import models
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.examples import many

from azure_batch_emulator.core.entities import Failed
from azure_batch_emulator.core.jobs import job_schedules, jobs, tasks
from azure_batch_emulator.core.nodes import faults, node_operations
from azure_batch_emulator.core.placing.dispatch import prep_failed
from azure_batch_emulator.core.pools import pools, scaling
from azure_batch_emulator.core.profile import NodeFaults, Profile
from azure_batch_emulator.core.runs import reports
from azure_batch_emulator.core.tasks import waiting
from azure_batch_emulator.core.views import views
from azure_batch_emulator.protocol.errors import BatchError

from ..clients.strict import complaints
from .builders import IMAGE, OUTPUT, Driver, job_body, pool_body, schedule_body, task_body
from .test_snapshot import check as check_snapshot

BASE = "http://x"
OPTIONS = st.sampled_from(["requeue", "terminate", "taskcompletion"])
NODE_OPTIONS = st.sampled_from(["requeue", "terminate", "taskcompletion", "retaineddata"])
POOLS, JOBS = st.sampled_from(["p1", "p2"]), st.sampled_from(["j1", "j2"])
MANAGER = {"id": "m", "commandLine": "lead"}
AUTO_POOL = {"vmSize": "Standard_D2s_v3", "virtualMachineConfiguration": IMAGE, "targetDedicatedNodes": 1}
PROFILE = Profile(
    allocation=(1, 5),
    boot=(1, 9),
    reboot=(1, 5),
    removal=(1, 3),
    restoration=(1, 50),
    loss=(1, 50),
    recovery=(1, 50),
    lateness=(1, 90),
    pools=5,
    jobs=3,
    faults=NodeFaults(2.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.1),
)
REFUSALS = {400, 404, 409, 503}


class Service(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.driver = Driver(PROFILE)
        self.machine = self.driver.machine
        self.final: dict[int, tuple] = {}
        self.reactivated: set[int] = set()
        self.seen: dict[int, object] = {}  # keeps tasks alive, so that ids stay theirs

    def request(self, stimulus, *args):
        """A request may be refused, and then has changed nothing that can be seen from outside."""
        before = self.fingerprint()
        try:
            return self.driver.do(stimulus, *args)
        except BatchError as error:
            assert error.status in REFUSALS
            assert self.fingerprint() == before
            return None

    def fingerprint(self):
        m = self.machine
        return (
            {k: (p.state, p.allocation.state, p.etag, {n.id: (n.state, n.free) for n in p.nodes.values()})
             for k, p in m.pools.items()},
            {k: (j.state, j.etag, dict(j.counts), {t.key: (t.state, t.run) for t in j.tasks.values()})
             for k, j in m.jobs.items()},
            set(m.runs),
        )  # fmt: skip

    def a_task(self, data, job):
        return data.draw(st.sampled_from(sorted(job.tasks.values(), key=lambda t: t.seq)))

    @rule(pool=POOLS, n=st.integers(0, 3), slots=st.integers(1, 4), fill=st.sampled_from(["spread", "pack"]),
          start=st.booleans(), linked=st.booleans())  # fmt: skip
    def create_pool(self, pool, n, slots, fill, start, linked):
        more = {"startTask": {"commandLine": "s"}} if start else {}
        if linked:
            more["enableInterNodeCommunication"], slots = True, 1
        policy = {"nodeFillType": fill}
        body = pool_body(
            pool, targetDedicatedNodes=n, taskSlotsPerNode=slots, taskSchedulingPolicy=policy, **more
        )
        self.request(pools.create, body)

    @rule(pool=POOLS, n=st.integers(0, 3), low=st.integers(0, 2), option=NODE_OPTIONS)
    def resize(self, pool, n, low, option):
        body = {"targetDedicatedNodes": n, "targetLowPriorityNodes": low, "nodeDeallocationOption": option}
        self.request(lambda m: pools.resize(m, m.pool(pool), body))

    @rule(pool=POOLS)
    def stop_resize(self, pool):
        self.request(lambda m: pools.stop_resize(m, m.pool(pool)))

    @rule(pool=POOLS, option=NODE_OPTIONS, data=st.data())
    def remove_node(self, pool, option, data):
        known = sorted(self.machine.pools[pool].nodes) if pool in self.machine.pools else []
        if known:
            body = {"nodeList": [data.draw(st.sampled_from(known))], "nodeDeallocationOption": option}
            self.request(lambda m: pools.remove_nodes(m, m.pool(pool), body))

    @rule(pool=POOLS, n=st.integers(0, 3), low=st.integers(0, 2), option=NODE_OPTIONS)
    def enable_auto_scale(self, pool, n, low, option):
        formula = f"n = max(0, $PendingTasks.GetSample(1)); $NodeDeallocationOption = {option};"
        formula += f"$TargetDedicatedNodes = min({n}, n); $TargetLowPriorityNodes = {low}"
        body = {"autoScaleFormula": formula, "autoScaleEvaluationInterval": "PT5M"}
        self.request(lambda m: scaling.enable(m, m.pool(pool), body))

    @rule(pool=POOLS)
    def disable_auto_scale(self, pool):
        self.request(lambda m: scaling.disable(m, m.pool(pool)))

    @rule(pool=POOLS)
    def delete_pool(self, pool):
        self.request(lambda m: pools.delete(m, m.pool(pool)))

    @rule(pool=POOLS, option=OPTIONS, enable=st.booleans(), data=st.data())
    def scheduling(self, pool, option, enable, data):
        if pool in self.machine.pools and (known := sorted(self.machine.pools[pool].nodes)):
            name = data.draw(st.sampled_from(known))
            if enable:
                self.request(lambda m: node_operations.enable_scheduling(m, m.node(pool, name)))
            else:
                self.request(lambda m: node_operations.disable_scheduling(m, m.node(pool, name), option))

    def a_node(self, data, pool):
        known = sorted(self.machine.pools[pool].nodes) if pool in self.machine.pools else []
        return data.draw(st.sampled_from(known)) if known else None

    @rule(
        pool=POOLS,
        option=NODE_OPTIONS,
        what=st.sampled_from(["reboot", "deallocate"]),
        data=st.data(),
    )
    def operate(self, pool, option, what, data):
        if name := self.a_node(data, pool):
            self.request(lambda m: getattr(node_operations, what)(m, m.node(pool, name), option))

    @rule(
        pool=POOLS, what=st.sampled_from([node_operations.start, faults.preempt, faults.lose]), data=st.data()
    )
    def befall(self, pool, what, data):
        if name := self.a_node(data, pool):
            self.request(lambda m: what(m, m.node(pool, name)))

    @rule(cores=st.none() | st.integers(0, 6))
    def capacity(self, cores):
        self.driver.do(faults.set_capacity, cores)

    @rule(codes=st.lists(st.sampled_from(["AllocationFailed", "stall"]), max_size=2))
    def fail_allocations(self, codes):
        self.machine.plan.allocations = codes

    @rule(job=JOBS, pool=POOLS, prep=st.booleans(), most=st.sampled_from([-1, 1, 2]), ends=st.booleans(),
          actions=st.booleans(), manager=st.none() | st.booleans(), yields=st.booleans(),
          priority=st.sampled_from([0, 0, 1, 2]))  # fmt: skip
    def create_job(self, job, pool, prep, most, ends, actions, manager, yields=False, priority=0):
        more = {"maxParallelTasks": most, "usesTaskDependencies": True}
        more |= {"allowTaskPreemption": yields, "priority": priority}
        if prep:
            more |= {"jobPreparationTask": {"commandLine": "p"}, "jobReleaseTask": {"commandLine": "r"}}
        if manager is not None:
            lead = {"killJobOnCompletion": manager, "runExclusive": not ends, "allowLowPriorityNode": prep}
            more |= {"jobManagerTask": MANAGER | lead}
        if actions:
            more |= {"onTaskFailure": "performexitoptionsjobaction"}
        self.request(jobs.create, job_body(job, pool, **more))
        if ends and job in self.machine.jobs:
            change = {"onAllTasksComplete": "terminatejob"}
            self.request(lambda m: jobs.change(m, m.job(job), change, replace=False))

    @rule(job=JOBS, name=st.integers(1, 6), slots=st.integers(1, 4), retries=st.integers(-1, 2),
          depends=st.none() | st.integers(1, 6), upload=st.booleans())  # fmt: skip
    def create_task(self, job, name, slots, retries, depends, upload):
        more = {
            "requiredSlots": slots,
            "constraints": {"maxTaskRetryCount": retries, "maxWallClockTime": "PT2H"},
        }
        if depends:
            more["dependsOn"] = {"taskIds": [str(depends)]}
        if upload:
            more["outputFiles"] = [OUTPUT]
        self.request(lambda m: tasks.create(m, m.job(job), task_body(str(name), **more)))

    @rule(job=JOBS, name=st.integers(1, 6), instances=st.integers(1, 3), retries=st.integers(-1, 1),
          upload=st.booleans())  # fmt: skip
    def create_multi_instance(self, job, name, instances, retries, upload):
        more = {"multiInstanceSettings": {"numberOfInstances": instances, "coordinationCommandLine": "c"}}
        more["constraints"] = {"maxTaskRetryCount": retries, "maxWallClockTime": "PT2H"}
        if upload:
            more["outputFiles"] = [OUTPUT]
        self.request(lambda m: tasks.create(m, m.job(job), task_body(str(name), **more)))

    @rule(job=JOBS, what=st.sampled_from(["delete", "terminate", "reactivate"]), data=st.data())
    def change_task(self, job, what, data):
        found = self.machine.jobs.get(job)
        if found and found.tasks:
            task = self.a_task(data, found)
            if what == "reactivate":
                self.reactivated.add(id(task))
            self.request(getattr(tasks, what), found, task)

    @rule(job=JOBS, what=st.sampled_from(["requeue", "terminate", "wait", "enable", "end", "delete"]))
    def change_job(self, job, what):
        if what == "enable":
            self.request(lambda m: jobs.enable(m, m.job(job)))
        elif what == "end":
            self.request(lambda m: jobs.terminate(m, m.job(job), {}))
        elif what == "delete":
            self.request(lambda m: jobs.delete(m, m.job(job)))
        else:
            self.request(lambda m: jobs.disable(m, m.job(job), what))

    @rule(
        lifetime=st.none() | st.sampled_from(["job", "jobschedule"]),
        recurs=st.booleans(),
        manager=st.booleans(),
    )
    def create_schedule(self, lifetime, recurs, manager):
        job = {"poolInfo": {"poolId": "p1"}} | ({"jobManagerTask": MANAGER} if manager else {})
        if lifetime:
            auto = {"poolLifetimeOption": lifetime, "pool": AUTO_POOL}
            job["poolInfo"] = {"autoPoolSpecification": auto}
        times = {"recurrenceInterval": "PT20M"} if recurs else {}
        self.request(job_schedules.create, schedule_body("s", job, **times))

    @rule(what=st.sampled_from(["disable", "enable", "terminate", "delete"]))
    def change_schedule(self, what):
        self.request(lambda m: getattr(job_schedules, what)(m, m.job_schedule("s")))

    @precondition(lambda self: self.driver.started)
    @rule(data=st.data(), code=st.sampled_from([0, 0, 1]), broken=st.booleans())
    def a_run_ends(self, data, code, broken):
        run = data.draw(st.sampled_from(sorted(self.driver.started)))
        failure = Failed("UserError", "CommandProgramNotFound", "") if broken and code else None
        self.driver.end(run, None if failure else code, failure)

    @precondition(lambda self: self.driver.killed)
    @rule()
    def kills_take_effect(self):
        self.driver.end_kills()

    @precondition(lambda self: self.driver.uploads)
    @rule(data=st.data(), good=st.booleans())
    def an_upload_ends(self, data, good):
        run = data.draw(st.sampled_from(sorted(self.driver.uploads)))
        del self.driver.uploads[run]
        self.driver.do(
            reports.uploaded, run, None if good else Failed("UserError", "FileUploadMiscError", "")
        )

    @rule(seconds=st.sampled_from([0, 1, 10, 1000, 10_000]))
    def time_passes(self, seconds):
        self.driver.advance(seconds)

    @rule()
    def restart(self):
        before = {
            (job.key, key): task for job in self.machine.jobs.values() for key, task in job.tasks.items()
        }
        self.driver.restart()
        self.machine = self.driver.machine
        for job in self.machine.jobs.values():
            for key, task in job.tasks.items():
                old = before[job.key, key]
                self.seen[id(task)] = task
                if id(old) in self.final:
                    self.final[id(task)] = self.final[id(old)]
                if id(old) in self.reactivated:
                    self.reactivated.add(id(task))

    @invariant()
    def slots_hold(self):
        for pool in self.machine.pools.values():
            for node in pool.nodes.values():
                assert 0 <= node.free <= node.slots
                assert set(node.runs) <= set(self.machine.runs)
                if node.state in ("creating", "deallocated"):
                    assert not node.runs, "nothing runs where there is no machine"

    @invariant()
    def each_task_is_in_one_place(self):
        running = [run for run in self.machine.runs.values() if run.task is not None]
        instances = {(id(run.task), run.instance) for run in running}
        assert len(instances) == len(running), "no task runs twice at once"
        for run in running:
            attempt = run.task.attempt
            assert attempt is None or run.id in attempt.runs, "an attempt knows all its runs"
            if attempt is not None:
                instances = [self.machine.runs[name] for name in attempt.runs]
                assert len({one.node for one in instances}) == run.task.instances, "all of its nodes or none"
                assert not all(one.phase == "over" for one in instances)
        for job in self.machine.jobs.values():
            for task in job.tasks.values():
                if task.state in ("preparing", "running"):
                    assert task.run in self.machine.runs and task.run in job.runs
                elif task.state == "completed":
                    assert task.run is None and task.execution.result
                elif not task.unmet and task.key not in job.dying and job.state == "active":
                    assert task.key in job.ready or task.key in job.constrained, (
                        "a task that may run waits in its queue"
                    )

    @invariant()
    def a_schedule_has_one_job_at_a_time(self):
        for schedule in self.machine.job_schedules.values():
            states = [job.state for job in self.machine.jobs_of(schedule)]
            assert sum(state not in ("completed", "deleting") for state in states) <= 1
            assert schedule.state not in ("completed",) or set(states) <= {"completed", "deleting"}

    @invariant()
    def indexes_agree(self):
        m = self.machine
        for pool in m.pools.values():
            free = {n.id: (n.number, n.free) for n in pool.nodes.values() if n.usable and n.free > 0}
            assert pool.free.slots == free
        for pool_key in ("p1", "p2"):
            on = {job.key for job in m.jobs.values() if job.pool == pool_key}
            assert {job.key for job in m.jobs_on(pool_key)} == on

    @invariant()
    def statistics_agree(self):
        m = self.machine
        for job in m.jobs.values():
            running = [task for task in job.tasks.values() if task.state in ("preparing", "running")]
            assert job.statistics.going == len(running)
        for pool in m.pools.values():
            metered = [node for node in pool.nodes.values() if node.metered is not None]
            assert pool.statistics.going == pool.spec["cores"] * sum(node.dedicated for node in metered)

    @invariant()
    def runs_agree(self):
        for job in self.machine.jobs.values():
            runs = [run for run in self.machine.runs.values() if run.job == job.key]
            assert job.runs == {run.id for run in runs if run.kind == "task" and run.instance == 0}
            assert job.prep_release_runs == {run.id for run in runs if run.kind != "task"}

    @invariant()
    def the_index_of_tasks_agrees(self):
        for job in self.machine.jobs.values():
            assert list(job.index.after(None)) == sorted(job.tasks)
            for state, keys in job.index.by_state.items():
                since = {t.key: t.lifecycle.since for t in job.tasks.values() if t.state == state}
                assert keys == since and list(keys.values()) == sorted(since.values())

    def room_is_for(self, pool):
        """The priority that room is being made for: nobody below it begins."""
        making = self.machine.making_room.get(pool.key, {})
        return max((priority for run, priority in making.items() if run in self.machine.runs), default=-1001)

    def held_for(self, pool):
        """The priority of the multi-instance task that free nodes are kept for: nobody else up to it begins. It has to
        be there, and enough nodes for it."""
        if pool.key not in self.machine.holding:
            return -1001
        usable = [node for node in pool.nodes.values() if node.usable]
        return max(
            job.spec["priority"]
            for job in self.machine.jobs_on(pool.key)
            for task in map(job.tasks.__getitem__, job.constrained)
            if job.state == "active" and not task.manager and task.instances <= len(usable)
        )

    @invariant()
    def no_task_waits_beside_a_free_slot(self):
        m = self.machine
        for pool in m.pools.values():
            if pool.state != "active":
                continue
            for job in m.jobs_on(pool.key):
                most = job.spec["maxParallelTasks"]
                if job.state != "active" or (most != -1 and len(job.runs) >= most):
                    continue
                if job.spec["priority"] < self.room_is_for(pool) or job.spec["priority"] <= self.held_for(
                    pool
                ):
                    continue
                room = [n.free for n in pool.nodes.values() if n.usable and not prep_failed(job, n)]
                assert not job.ready.peek(max(room, default=0))
                here = [n for n in pool.nodes.values() if n.usable and n.free and not prep_failed(job, n)]
                for task in map(job.tasks.__getitem__, job.constrained):
                    needs = [waiting.need(pool, job, task, n) for n in here]
                    suitable = [n for n, need in zip(here, needs, strict=True) if 0 < need <= n.free]
                    assert len(suitable) < task.instances

    @invariant()
    def nodes_wait_for_no_data_but_what_they_hold(self):
        for pool in self.machine.pools.values():
            every = [task for job in self.machine.jobs_on(pool.key) for task in job.tasks.values()]
            for node in pool.nodes.values():
                if node.retaining and not node.runs and node.state in ("idle", "offline", "running"):
                    assert any(node.holds(task) for task in every)

    @invariant()
    def all_is_shown_as_the_client_expects(self):
        m = self.machine
        shown = [models.BatchPool(views.pool(pool, BASE)) for pool in m.pools.values()]
        shown += [models.BatchPoolNodeCounts(views.node_counts(pool)) for pool in m.pools.values()]
        for pool in m.pools.values():
            shown += [models.BatchNode(views.node(m, node, BASE)) for node in pool.nodes.values()]
        for job in m.jobs.values():
            shown += [models.BatchJob(views.job(job, BASE))]
            shown += [models.BatchTask(views.task(m, job, task, BASE)) for task in job.tasks.values()]
        assert not [complaint for one in shown for complaint in complaints(one)]

    @invariant()
    def counts_agree(self):
        for job in self.machine.jobs.values():
            found = [task.state.replace("preparing", "running") for task in job.tasks.values()]
            assert {n: found.count(n) for n in ("active", "running", "completed")} == {
                n: job.counts[n] for n in ("active", "running", "completed")
            }
            assert job.counts["succeeded"] + job.counts["failed"] == job.counts["completed"]

    @invariant()
    def the_end_is_final(self):
        for job in self.machine.jobs.values():
            for task in job.tasks.values():
                self.seen[id(task)] = task
                shown = (task.state, task.execution.result, task.execution.end)
                if id(task) in self.reactivated:
                    continue
                assert self.final.get(id(task), shown) == shown
                if task.state == "completed":
                    self.final[id(task)] = shown

    def teardown(self):
        """A snapshot holds all there is. Then everything is deleted, every run ends: nothing may be left."""
        check_snapshot(self.machine)
        for schedule in list(self.machine.job_schedules.values()):
            self.request(job_schedules.delete, schedule)
        for job in list(self.machine.jobs):
            self.request(lambda m, job=job: jobs.delete(m, m.job(job)))
        for pool in list(self.machine.pools):
            self.request(lambda m, pool=pool: pools.delete(m, m.pool(pool)))
        for _ in range(20):
            for run in list(self.driver.started):
                self.driver.end(run, 0)
            for run in list(self.driver.uploads):
                del self.driver.uploads[run]
                self.driver.do(reports.uploaded, run, None)
            self.driver.advance(10)
        assert not self.machine.jobs and not self.machine.pools and not self.machine.runs
        assert not self.machine.job_schedules


TestService = Service.TestCase
TestService.settings = many(60, stateful_step_count=40)
