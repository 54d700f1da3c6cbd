"""State over restarts: the real command, filled by the real client, stopped or killed, and started again."""

import threading
from datetime import timedelta
from random import Random

import psutil
import pytest
from azure.batch import models
from azure.core.exceptions import ResourceNotFoundError
from support.emulator import running_emulator, wait_until

from azure_batch_emulator.core.jobs import jobs
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.profile import Profile
from azure_batch_emulator.engine.clock import SteppedClock
from azure_batch_emulator.engine.engine import Engine
from azure_batch_emulator.nodes.runners import make_runner
from azure_batch_emulator.service.binding import listen
from azure_batch_emulator.service.location import Location, LocationError
from azure_batch_emulator.service.server import Emulator
from azure_batch_emulator.service.state_store import StateStore

from ..core.builders import job_body, pool_body
from ..helpers import completed, make_job, make_pool, shell, task, text
from .test_command import refusal


def kill(emulator):
    emulator.process.kill()
    emulator.process.wait(timeout=10)


def state_holds(location, *ids):
    """Waits until what the ids name is on disk: a second, or ten times what writing took, after it was answered."""
    state = location / "state"
    wait_until(lambda: state.exists() and all(name.encode() in state.read_bytes() for name in ids))


def describe(client):
    """All that a client can see, apart from nodes."""
    found = {job.id: [task.as_dict() for task in client.list_tasks(job.id)] for job in client.list_jobs()}
    return (
        [pool.as_dict() for pool in client.list_pools()],
        [job.as_dict() for job in client.list_jobs()],
        found,
        {job: client.get_job_task_counts(job).as_dict() for job in found},
    )


def test_an_orderly_stop_loses_nothing(tmp_path):
    with running_emulator(location=tmp_path) as emulator:
        client = emulator.client()
        make_pool(client, nodes=2, start_task=models.BatchStartTask(command_line=shell("echo up >> log")))
        make_job(client, uses_task_dependencies=True)
        make_job(client, "disabled")
        client.create_task("job", task("good", shell("echo said")))
        client.create_task("job", task("bad", shell("exit 3")))
        client.create_task("job", task("later", depends_on=models.BatchTaskDependencies(task_ids=["bad"])))
        assert completed(client, task_id="good").node_info.node_id
        completed(client, task_id="bad")
        disabling = models.BatchJobDisableOptions(disable_tasks="requeue")
        client.begin_disable_job("disabled", disabling, polling_interval=0.1).wait()
        client.create_pool(models.BatchPoolCreateOptions(**pool_of_no_nodes("last")))
        before = describe(client)
        assert emulator.stop() == 0
    port = emulator.url.rpartition(":")[2]
    with running_emulator(location=tmp_path, port=port) as emulator:
        client = emulator.client()
        assert describe(client) == before
        wait_until(lambda: {node.state for node in client.list_nodes("pool")} == {"idle"})
        assert text(client.download_task_file("job", "good", "stdout.txt")) == "said\n"
        node = next(iter(client.list_nodes("pool")))
        assert node.start_task_info.state == "completed"
        log = text(client.download_node_file("pool", node.id, "startup/wd/log"))
        assert log == "up\nup\n", "the node kept its disk, and its start task ran again"
        client.create_task("job", task("new", shell("echo new")))
        assert completed(client, task_id="new").execution_info.exit_code == 0


def pool_of_no_nodes(pool_id):
    from ..helpers import VM

    return {"id": pool_id, "vm_size": "Standard_D2s_v3", "virtual_machine_configuration": VM}


def test_killed_with_tasks_running(tmp_path):
    """What ran is requeued, and nothing of it is left; what was deleted stays deleted."""
    runs = tmp_path / "runs"
    runs.mkdir()
    location = tmp_path / "here"
    with running_emulator(location=location) as emulator:
        client = emulator.client()
        make_pool(client, slots=2)
        make_job(client)
        make_job(client, "gone")
        client.begin_delete_job("gone", polling_interval=0.1).wait()
        script = f"echo $$ > {runs}/$$; test -e {tmp_path}/go || sleep 300"
        client.create_task("job", task("running", shell(script)))
        client.create_task("job", task("waiting", "true", required_slots=2))
        wait_until(lambda: client.get_task("job", "running").state == "running" and list(runs.iterdir()))
        state_holds(location, "waiting")
        (first,) = (int(path.name) for path in runs.iterdir())
        kill(emulator)
    assert psutil.pid_exists(first), "the task outlives an emulator that is killed"
    (tmp_path / "go").touch()
    with running_emulator(location=location) as emulator:
        assert not psutil.pid_exists(first), "but not the next start"
        client = emulator.client()
        again = completed(client, task_id="running")
        assert again.execution_info.exit_code == 0 and again.execution_info.requeue_count == 0
        assert len(list(runs.iterdir())) == 2
        completed(client, task_id="waiting")
        with pytest.raises(ResourceNotFoundError):
            client.get_job("gone")


def test_killed_again_and_again(tmp_path):
    """However it is timed, there is a state that can be read, and it has what was there a while before."""
    for number in range(3):
        with running_emulator(location=tmp_path, runner="none") as emulator:
            client = emulator.client()
            assert {pool.id for pool in client.list_pools()} == {f"p{n}" for n in range(number)}
            client.create_pool(models.BatchPoolCreateOptions(**pool_of_no_nodes(f"p{number}")))
            state_holds(tmp_path, f"p{number}")
            stop = threading.Event()
            writer = threading.Thread(target=touch, args=(client, stop), daemon=True)
            writer.start()
            wait_until(another_write(tmp_path / "state"), interval=0.001)
            kill(emulator)
            stop.set()
            writer.join(timeout=30)


def another_write(path):
    before = path.stat().st_mtime_ns
    return lambda: path.stat().st_mtime_ns != before


def touch(client, stop):
    from azure.core.exceptions import AzureError

    while not stop.is_set():
        try:
            client.update_pool("p0", models.BatchPoolUpdateOptions(metadata=[]))
        except AzureError:
            return


def test_azurite_and_its_data(tmp_path, azurite):
    """An Azurite that was left over does not keep its port from the next one. (`azurite`: so that there is one.)"""
    import requests

    with running_emulator(location=tmp_path, runner="none", blob_port=0) as emulator:
        base, _, sas = emulator.blob_url.partition("?")
        port = int(base.split(":")[2].split("/")[0])
        assert requests.put(f"{base}/kept?restype=container&{sas}", timeout=10).status_code == 201
        kill(emulator)
    with running_emulator(location=tmp_path, runner="none", blob_port=port) as emulator:
        assert "kept" in requests.get(f"{emulator.blob_url}&comp=list", timeout=10).text


def test_a_location_in_use_and_states_that_can_not_be_used(tmp_path):
    with running_emulator(location=tmp_path, runner="none") as emulator:
        message = refusal("--port", "0", "--location", str(tmp_path))
        assert "in use by another emulator" in message and str(emulator.process.pid) in message
        assert emulator.stop() == 0
    for content, said in ((b"junk", "damaged"), (b"\x81\xa6format\x63", "format 99")):
        (tmp_path / "state").write_bytes(content)
        message = refusal("--port", "0", "--location", str(tmp_path))
        assert said in message and "state" in message and "delete" in message
        assert (tmp_path / "state").read_bytes() == content, "what can't be read is left alone"


def test_without_a_location_nothing_is_written(tmp_path):
    import os

    os.environ["TMPDIR"], before = str(tmp_path), os.environ.get("TMPDIR")
    try:
        with running_emulator(runner="none") as emulator:
            make_pool(emulator.client())
            assert not list(tmp_path.rglob("state*"))
            assert emulator.stop() == 0
    finally:
        os.environ.pop("TMPDIR") if before is None else os.environ.update(TMPDIR=before)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def make_engine(tmp_path):
    made = []

    def make(clock, runner="none"):
        engine = Engine(
            Profile(boot=(60, 60), reboot=(30, 30)),
            make_runner(runner),
            clock,
            Random(1),
            tmp_path / "nodes",
            "devbatch",
        )
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


def test_time_goes_on_and_timers_that_are_due_fire(make_engine):
    clock = SteppedClock()
    engine = make_engine(clock)
    engine.start()
    engine.call(jobs.create, job_body(constraints={"maxWallClockTime": "PT1H"}))
    engine.call(pools.create, pool_body(targetDedicatedNodes=1))
    clock.advance(10)
    wait_until(
        lambda: engine.call(lambda m: [n.state for n in m.pool("pool").nodes.values()]) == ["creating"]
    )
    engine.freeze()
    data, _ = engine.snapshot()
    late = SteppedClock(clock.now() + timedelta(hours=2))
    again = make_engine(late)
    again.restore(data)
    again.start()
    wait_until(lambda: again.call(lambda m: m.job("job").state) == "completed")
    wait_until(lambda: again.call(lambda m: [n.state for n in m.pool("pool").nodes.values()]) == ["idle"])
    early = SteppedClock(clock.now() - timedelta(hours=2))
    third = make_engine(early)
    third.restore(data)
    assert early.now() == clock.now(), "the service's time never goes back"


def test_directories_of_nodes_that_are_gone(make_engine, tmp_path):
    (tmp_path / "nodes" / "n99" / "workitems").mkdir(parents=True)
    (tmp_path / "nodes" / "trash" / "x").mkdir(parents=True)
    make_engine(SteppedClock(), "process").start()
    wait_until(
        lambda: not list((tmp_path / "nodes").glob("n*")) and not list((tmp_path / "nodes/trash").iterdir())
    )


class Full(Location):
    def write_state(self, data):
        raise OSError(28, "No space left on device")


def test_a_state_that_can_not_be_written_is_told_of(make_engine, tmp_path, caplog):
    engine = make_engine(SteppedClock())
    engine.start()
    store = StateStore(engine, Full(tmp_path), seconds=0.01)
    store.start()
    wait_until(lambda: "No space left" in caplog.text)
    engine.freeze()
    store.stop()


def test_a_defect_does_not_end_the_keeping_of_the_state(make_engine, tmp_path, caplog, monkeypatch):
    engine = make_engine(SteppedClock())
    engine.start()
    location = Location(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(engine, "snapshot", lambda: 1 / 0)
        store = StateStore(engine, location, seconds=0.01)
        store.start()
        wait_until(lambda: "its state has not been written" in caplog.text)
    wait_until(lambda: location.read_state() is not None)
    engine.freeze()
    store.stop()


def test_a_state_that_can_not_be_used_leaves_the_port_free(tmp_path):
    location = Location(tmp_path)
    location.take()
    location.write_state(b"nonsense")
    emulator = Emulator(Profile(), runner="none", location=location)
    with pytest.raises(LocationError, match="damaged"):
        emulator.start()
    listen("127.0.0.1", emulator.port).close()
    emulator.stop()
    location.release()
    assert location.read_state() == b"nonsense", "nothing is written over what could not be read"


def test_a_disk_that_is_full_leaves_the_state_of_before(tmp_path, monkeypatch):
    location = Location(tmp_path)
    location.take()
    location.write_state(b"before")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        location.write_state(b"after")
    location.release()
    assert location.read_state() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "state"]


def test_reading_is_nothing_to_keep(make_engine):
    engine = make_engine(SteppedClock())
    engine.start()
    before = engine.changes
    assert engine.read(lambda m: list(m.pools)) == []
    assert engine.changes == before
    engine.call(pools.create, pool_body())
    assert engine.changes > before


def test_one_directory_is_one_emulators(tmp_path):
    first, second = Location(tmp_path), Location(tmp_path)
    first.take()
    with pytest.raises(LocationError, match="in use"):
        second.take()
    first.write_state(b"secret")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600
    first.release()
    second.take()
    second.release()
