"""The service as a whole: engine, application and a server thread on loopback."""

import gc
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import TextIO

import uvicorn
from starlette.types import ASGIApp

from .. import DEV_ACCOUNT, DEV_KEY
from ..core.profile import Profile
from ..core.snapshot import SnapshotError
from ..engine.clock import Clock, RealClock
from ..engine.engine import Engine
from ..host.azurite import StorageAccount
from ..host.certificate import Certificate
from ..identity.issuer import Issuer
from ..identity.roles import Roles
from ..management import accounts
from ..nodes.access import NodeAccess
from ..nodes.packages import PackageStore
from ..nodes.runners import make_runner
from ..web.all_services import all_services
from ..web.app import Application
from ..web.auth import Authenticator, SharedKey, Tokens
from ..web.connections import Connections
from ..web.control import Control
from ..web.control_routes import ControlRoutes
from ..web.dates import Dates
from ..web.fault_injection import FaultInjection
from ..web.outages import Outages
from ..web.page.routes import Page
from ..web.request_faults import RequestFaults
from ..web.request_log import RequestLog
from ..web.visitors import Visitors
from .binding import LOOPBACK, listen, local_address
from .http_server import HttpServer
from .location import Location, new_key
from .state_store import StateStore


class Emulator:
    """`start()` binds the port (0: any free one) of `host`, an IP address, and serves from a thread; `stop()` ends
    tasks and cleans up.

    `location`, which has been taken, holds the nodes' files and the account's state, and what it holds already goes
    on; None means a temporary directory, removed by `stop()`, and no state. With a certificate (one that has been
    checked) it serves https instead of http. `storage` are the accounts of an Azurite for nodes; the first is linked
    to the Batch account. `request_log` gets a line of JSON for each request.

    `key` is the account's, and the tenant's secret, of this start; the location keeps it. The published ones are
    accepted from this process's own user, and with `accept_published_key` from everybody.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        runner: str = "process",
        host: str = LOOPBACK,
        port: int = 0,
        location: Location | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
        certificate: Certificate | None = None,
        packages: PackageStore | None = None,
        storage: tuple[StorageAccount, ...] = (),
        request_log: TextIO | None = None,
        accept_published_key: bool = False,
    ) -> None:
        self.host, self.port = host, port
        self.key = new_key()
        self._accept_published_key = accept_published_key
        self._certificate = certificate
        self._profile, self._runner, self._seed = profile, runner, seed
        self._clock = clock or RealClock()
        self._location, self._packages, self._storage = location, packages, storage
        self._request_log = request_log
        self._temporary: tempfile.TemporaryDirectory | None = None
        self._engine: Engine | None = None
        self._control: Control | None = None
        self._state_store: StateStore | None = None
        self._server: HttpServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """By which this machine, and the tasks on it, reach the service."""
        scheme = "https" if self._certificate else "http"
        return f"{scheme}://{local_address(self.host)}:{self.port}"

    @property
    def engine(self) -> Engine:
        assert self._engine is not None, "the emulator has not been started"
        return self._engine

    @property
    def control(self) -> Control:
        """Faults by hand."""
        assert self._control is not None, "the emulator has not been started"
        return self._control

    def start(self) -> None:
        """Raises OSError when the port can't be had, LocationError when the state can't be used."""
        with ExitStack() as undo:
            listener = listen(self.host, self.port)
            undo.callback(listener.close)
            self.port = listener.getsockname()[1]
            connections = Connections()
            config = uvicorn.Config(
                self._service(connections),
                http=connections.protocol(),
                ssl_certfile=self._certificate.cert if self._certificate else None,
                ssl_keyfile=self._certificate.key if self._certificate else None,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                date_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=1,
            )
            self._server = HttpServer(config, connections.cut_all)
            self._thread = threading.Thread(
                target=self._server.run, kwargs={"sockets": [listener]}, name="batch-http", daemon=True
            )
            self._thread.start()
            undo.pop_all()

    def _service(self, connections: Connections) -> ASGIApp:
        """Starts the engine; returns what answers requests to it."""
        issuer = Issuer(self._location.signing_key if self._location else None)
        roles = Roles()
        engine = self._engine = self._make_engine(issuer)
        if self._location is not None:
            self._resume(engine, self._location)
        engine.start()
        if self._location is not None:
            self._location.write_key(self.key)
        authenticator = Authenticator(
            SharedKey(DEV_ACCOUNT, lambda: {self.key, *engine.read(accounts.keys)}, DEV_KEY),
            Tokens(issuer, roles),
        )
        # A generator of its own: what requests suffer does not depend on what nodes do.
        requests = RequestFaults(self._profile.http, Random(None if self._seed is None else ~self._seed))
        outages = Outages(
            self._profile.http, Random(None if self._seed is None else ~self._seed - 1), self._refuse
        )
        self._control = Control(engine, requests, outages, roles)
        app: ASGIApp = all_services(
            FaultInjection(Application(engine, authenticator), requests, outages, connections),
            engine,
            issuer,
            roles,
            ControlRoutes(self._control, authenticator),
            self.key,
        )
        app = Dates(app, self._clock.now)
        app = Page(app, engine, self._secrets, {"account": DEV_ACCOUNT, "runner": self._runner})
        app = Visitors(app, self.host, (lambda _: True) if self._accept_published_key else connections.own)
        return app if self._request_log is None else RequestLog(app, self._request_log)

    def _secrets(self) -> set[str]:
        """What is to be shown nowhere."""
        keys = {self.key, DEV_KEY, *(account.key for account in self._storage)}
        return keys if self._engine is None else keys | set(self._engine.read(accounts.keys))

    def _refuse(self, seconds: float) -> None:
        if self._server is not None:
            self._server.refuse(seconds)

    def _make_engine(self, issuer: Issuer) -> Engine:
        if self._location is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="abe-", ignore_cleanup_errors=True)
            nodes = Path(self._temporary.name)
        else:
            nodes = self._location.nodes
        return Engine(
            self._profile,
            make_runner(self._runner),
            self._clock,
            Random(self._seed),
            nodes.resolve(),
            DEV_ACCOUNT,
            self._packages,
            self._storage,
            NodeAccess(issuer, self._certificate),
            self.url,
        )

    def _resume(self, engine: Engine, location: Location) -> None:
        """Goes on from the location's state, and keeps it from now on."""
        if (data := location.read_state()) is not None:
            gc.disable()  # it would look for garbage among millions of new objects, for as long again
            try:
                engine.restore(data)
            except SnapshotError as error:
                raise location.refused(error) from None
            finally:
                gc.enable()
        self._state_store = StateStore(engine, location)
        self._state_store.start()

    def stop(self) -> None:
        """Closes the port, keeps the state if there is a location for it, and kills what still runs."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=5)
        if self._engine is not None:
            self._engine.freeze()
        if self._state_store is not None:
            self._state_store.stop()
        if self._engine is not None:
            self._engine.close()
        if self._temporary is not None:
            self._temporary.cleanup()
