"""A service to send odd requests to: the real HTTP server on loopback, and a look at all that the service knows.

Each `refresh` puts a new account, in the same state each time, behind the same port. Its clock stands still, and
whatever happens by itself has happened before the first request.
"""

import http.client
import io
import json
import pickle
import shutil
import socket
import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random
from urllib.parse import parse_qsl

import jwt
import uvicorn
from azure.batch.models import _models
from starlette.types import ASGIApp
from support.emulator import wait_until

from azure_batch_emulator import DEV_ACCOUNT, DEV_KEY
from azure_batch_emulator.core.entities import Ended
from azure_batch_emulator.core.jobs import jobs, tasks
from azure_batch_emulator.core.machine import Machine
from azure_batch_emulator.core.nodes import node_users
from azure_batch_emulator.core.pools import pools
from azure_batch_emulator.core.profile import HttpFaults, Profile
from azure_batch_emulator.engine.clock import SteppedClock
from azure_batch_emulator.engine.engine import Engine
from azure_batch_emulator.identity import directory, managed
from azure_batch_emulator.identity.issuer import Issuer
from azure_batch_emulator.identity.roles import Roles
from azure_batch_emulator.nodes.access import NodeAccess
from azure_batch_emulator.web.all_services import all_services
from azure_batch_emulator.web.app import Application
from azure_batch_emulator.web.auth import Authenticator
from azure_batch_emulator.web.auth.shared_key import SharedKey, sign, string_to_sign
from azure_batch_emulator.web.auth.tokens import Tokens
from azure_batch_emulator.web.control import Control
from azure_batch_emulator.web.control_routes import ControlRoutes
from azure_batch_emulator.web.outages import Outages
from azure_batch_emulator.web.request_faults import RequestFaults
from azure_batch_emulator.web.routing import CURRENT, find

from ..clients.strict import complaints
from ..core.builders import job_body, pool_body, task_body

IDENTITY = (
    f"/subscriptions/{directory.SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.ManagedIdentity"
    "/userAssignedIdentities/robot"
)
SECONDS = 10  # that an answer may take
PASSING = ("now", "random", "profile", "_seq")  # parts of the machine that say nothing of the account


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    signed: bool = True


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    changed: bool


def picture(machine: Machine) -> bytes:
    """All that the account knows, and what is yet to be done for it."""
    parts = {name: value for name, value in vars(machine).items() if name not in PASSING}
    return pickle.dumps(parts)


class EndlessRunner:
    """Tasks that run until they are killed, but for those with the command line `once`."""

    name = "endless"

    def __init__(self) -> None:
        self._killed: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def _event(self, run_id: str) -> threading.Event:
        with self._lock:
            return self._killed.setdefault(run_id, threading.Event())

    def boot_node(self, node):
        return None

    def run(self, launch):
        if launch.command_line == "once":
            return Ended(0, None)
        self._event(launch.run_id).wait()
        return Ended(None, None)

    def kill(self, run_id):
        self._event(run_id).set()

    def remove_node(self, node):
        pass

    def close(self):
        for run_id in list(self._killed):
            self.kill(run_id)


class Service:
    def __init__(self, location: Path) -> None:
        self._location = location
        self._application: ASGIApp | None = None
        self._issuer = Issuer()
        self._authenticator = Authenticator(
            SharedKey(DEV_ACCOUNT, lambda: [DEV_KEY]), Tokens(self._issuer, Roles())
        )
        self._requests = RequestFaults(HttpFaults(), Random(1))
        self.engine: Engine | None = None
        self._changed = False

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._serve, log_config=None, access_log=False, lifespan="off", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self.engine is not None:
            self.engine.close()
        self._server.should_exit = True
        self._thread.join(timeout=10)

    async def _serve(self, scope, receive, send) -> None:
        """While a request is in the application, nothing else may change the machine."""
        assert self.engine is not None and self._application is not None
        with self.engine._lock:
            before = self._picture(self.engine)
            messages: list[dict] = []

            async def keep(message) -> None:
                messages.append(message)

            await self._application(scope, receive, keep)
            self._changed = self._picture(self.engine) != before
        for message in messages:
            await send(message)

    def _picture(self, engine: Engine) -> tuple:
        return picture(engine._machine), self._requests.planned()

    def refresh(self) -> None:
        """An account with a pool of two nodes, one that scales, a busy job, a disabled job, a schedule, a user, and a file."""
        if self.engine is not None:
            self.engine.close()
        shutil.rmtree(self._location, ignore_errors=True)
        access = NodeAccess(self._issuer)
        engine = Engine(
            Profile(), EndlessRunner(), SteppedClock(), Random(1), self._location, DEV_ACCOUNT, access=access
        )
        engine.start()
        call = engine.call
        more = {
            "startTask": {"commandLine": "once"},
            "metadata": [{"name": "k", "value": "v"}],
        }
        body = pool_body("pool", targetDedicatedNodes=2, taskSlotsPerNode=4, **more)
        ids = {
            "resourceId": IDENTITY,
            "clientId": managed.client_id(IDENTITY),
            "principalId": managed.principal_id(IDENTITY),
        }
        body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": [ids]}
        call(pools.create, body)
        scaling = {"enableAutoScale": True, "autoScaleFormula": "$TargetDedicatedNodes=0;"}
        call(pools.create, pool_body("empty", **scaling))
        node_task = {"jobPreparationTask": {"commandLine": "once"}}
        call(jobs.create, job_body("job", usesTaskDependencies=True, **node_task))
        for name in ("t1", "t2", "t3"):
            call(lambda m, name=name: tasks.create(m, m.job("job"), task_body(name)))
        call(jobs.create, job_body("off"))
        call(lambda m: jobs.disable(m, m.job("off"), "wait"))
        call(lambda m: tasks.create(m, m.job("off"), task_body("done")))
        call(lambda m: tasks.terminate(m, m.job("off"), m.task("off", "done")))

        def at_rest(m: Machine) -> bool:
            nodes, busy = m.pool("pool").nodes.values(), m.job("job").tasks.values()
            up = [node.state for node in nodes if node.state in ("idle", "running")]
            return len(up) == 2 and all(task.state == "running" for task in busy)

        wait_until(lambda: call(at_rest), interval=0.002)
        self.node = call(lambda m: sorted(m.pool("pool").nodes)[0])
        user = {"name": "user", "password": "secret"}
        call(lambda m: node_users.create(m, m.node("pool", self.node), user))
        root = engine.nodes.root(self.node)
        assert root is not None
        (root / "shared").mkdir(exist_ok=True)
        (root / "shared" / "a b#.txt").write_text("0123456789")
        self._requests = RequestFaults(HttpFaults(), Random(1))
        routes = ControlRoutes(
            Control(engine, self._requests, Outages(HttpFaults(), Random(1), lambda _: None), Roles()),
            self._authenticator,
        )
        self._application = all_services(
            Application(engine, self._authenticator), engine, self._issuer, Roles(), routes, DEV_KEY
        )
        self.engine = engine
        self._words = {
            "{node}": self.node,
            "{identity}": jwt.encode({"pool": "pool", "node": self.node}, access._secret, "HS256"),
        }
        for word, audience in (("{management}", directory.MANAGEMENT[0]), ("{batch}", directory.BATCH)):
            token = self._issuer.issue(audience, {"oid": "x"}, datetime.now(UTC), timedelta(hours=1))
            self._words[word] = token

    def filled_in(self, request: Request) -> Request:
        """The request with a node, a node's secret and tokens in place of the words that stand for them."""

        def fill(text: str) -> str:
            for word, value in self._words.items():
                text = text.replace(word, value)
            return text

        headers = {name: fill(value) for name, value in request.headers.items()}
        return replace(request, target=fill(request.target), headers=headers)

    def send(self, request: Request) -> Answer:
        """Sends the request as it is, and signs it well if it is to be signed. A hang is a TimeoutError."""
        headers = {"Host": f"127.0.0.1:{self.port}"} | request.headers
        headers.setdefault("ocp-date", format_datetime(datetime.now(UTC), usegmt=True))
        if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(request.body or b""))
        if request.signed:
            path, _, query = request.target.partition("?")
            lower = {name.lower(): value.strip() for name, value in headers.items()}
            length = lower.get("content-length", "")
            text = string_to_sign(
                request.method, path, parse_qsl(query, keep_blank_values=True), lower, DEV_ACCOUNT, length
            )
            headers["Authorization"] = f"SharedKey {DEV_ACCOUNT}:{sign(DEV_KEY, text)}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)) as connection:
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(io.BytesIO(request.body) if request.body else None)
            response = connection.getresponse()
            body = response.read()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, body, self._changed)


def is_an_answer_of_the_service(request: Request, answer: Answer) -> str | None:
    """What is wrong with the answer, or None."""
    status, text = answer.status, answer.body.decode("utf-8", "replace")
    if status >= 500 and status not in (501, 503):
        return f"status {status}: {text}"
    if status >= 400 and answer.changed:
        return f"status {status}, yet something has changed: {text}"
    if "request-id" not in answer.headers:
        return "there is no request-id"
    if request.method == "HEAD" or status == 304:
        return "there is a body" if answer.body else None
    if status < 400:
        return _not_as_modelled(request, answer)
    if answer.headers.get("content-type", "").replace(" ", "") != "application/json;odata=minimalmetadata":
        return f"an error in {answer.headers.get('content-type')}"
    error = json.loads(answer.body)
    lines = error["message"]["value"].split("\n")
    if (
        set(error) - {"values"} != {"odata.metadata", "code", "message"}
        or error["message"]["lang"] != "en-US"
    ):
        return f"an error of another shape: {text}"
    if len(lines) != 3 or not all(
        isinstance(entry["key"] + entry["value"], str) for entry in error.get("values", ())
    ):
        return f"an error of another shape: {text}"
    return None


def _not_as_modelled(request: Request, answer: Answer) -> str | None:
    """The first thing in the answer that the strict models of azure-batch do not know."""
    path, _, query = request.target.partition("?")
    model = find(request.method, path)[0].returns
    if model is None or f"api-version={CURRENT}" not in query:
        return None
    body = json.loads(answer.body)
    whole = "%24select" not in query and "$select" not in query
    for value in body.get("value", [body]) if not model.endswith("Result") else [body]:
        for complaint in complaints(getattr(_models, model)(value), whole=whole):
            return complaint
    return None
