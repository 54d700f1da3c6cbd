"""`azure-batch-emulator start`: checks the options, starts what they ask for, and serves until told to stop."""

import argparse
import contextlib
import errno
import logging
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from .. import DEV_ACCOUNT
from ..engine.clock import RealClock
from ..host import azurite
from ..host.azurite import Azurite, AzuriteError
from ..host.certificate import Certificate, CertificateError
from ..nodes.packages import PackageError, PackageStore
from ..nodes.runners import check_runner
from .binding import LOOPBACK, BindingError, check_host, is_loopback, own_address
from .client_environment import hint
from .location import Location, LocationError
from .profile_files import ProfileError, load_profile
from .server import Emulator

LOOK_SECONDS = 1.0


class StartError(Exception):
    """Why there is nothing to serve, in one sentence."""


_REFUSALS = (
    AzuriteError, BindingError, CertificateError, LocationError, PackageError, ProfileError, StartError,
)  # fmt: skip


def start(options: argparse.Namespace) -> int:
    """Returns the exit code: 1 after a sentence on stderr, 0 after an orderly end."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Not that of the libraries: those for HTTP log URLs with the signatures in them.
    logging.getLogger("azure_batch_emulator").setLevel(options.log_level.upper())
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as cleanup:
        try:
            emulator, blobs = _set_up(options, cleanup)
        except _REFUSALS as error:
            print(f"azure-batch-emulator: {error}", file=sys.stderr)
            return 1
        _tell(options, emulator, blobs)
        _serve(stop, blobs)
    return 0


def _serve(stop: threading.Event, blobs: Azurite | None) -> None:
    """Until `stop`; says so when Azurite ends before that, as clients only see refused connections."""
    while blobs is not None and not stop.wait(LOOK_SECONDS):
        if (code := blobs.ended()) is not None:
            print(
                f"azure-batch-emulator: Azurite has ended with exit code {code}, and nobody answers at {blobs.url} any "
                "more; stop the emulator and start it again.",
                file=sys.stderr,
            )
            break
    stop.wait()


def _set_up(options: argparse.Namespace, cleanup: contextlib.ExitStack) -> tuple[Emulator, Azurite | None]:
    """A running emulator, and the Azurite beside it; `cleanup` ends both. One of _REFUSALS when it can't be."""
    host = check_host(options.host, options.allow_remote)
    profile = load_profile(options.profile)
    # Azurite listens on loopback, whatever the host is.
    hosts = [host] if options.blob_port is None else [host, LOOPBACK]
    certificate = load_certificate(options.cert, options.key, options.ca, hosts)
    packages = PackageStore(options.applications)
    packages.load()
    if reason := check_runner(options.runner):
        raise StartError(reason)
    request_log = _open_request_log(options.request_log, cleanup)
    location = Location(options.location) if options.location else None
    if location is not None:
        cleanup.callback(location.release)
        location.take()
    blobs = None
    if options.blob_port is not None:
        directory = location.blobs if location else _temporary_directory(cleanup)
        blobs = azurite.Azurite(options.blob_port, directory, certificate)
        blobs.start()
        cleanup.callback(blobs.stop)
    emulator = Emulator(
        profile,
        runner=options.runner,
        host=host,
        port=options.port,
        location=location,
        clock=RealClock(options.time_scale),
        seed=options.seed,
        certificate=certificate,
        packages=packages,
        storage=blobs.accounts if blobs else (),
        request_log=request_log,
        accept_published_key=options.accept_published_key,
    )
    try:
        emulator.start()
    except OSError as error:
        other = "address with --host" if error.errno == errno.EADDRNOTAVAIL else "port with --port"
        raise StartError(
            f"Port {options.port} of {host} can't be used ({error.strerror}); choose another {other}."
        ) from None
    cleanup.callback(emulator.stop)
    return emulator, blobs


def _tell(options: argparse.Namespace, emulator: Emulator, blobs: Azurite | None) -> None:
    beside = f", blobs at {blobs.url}" if blobs else ""
    if not is_loopback(emulator.host):
        print(
            f"azure-batch-emulator: whoever reaches {emulator.host} port {emulator.port} and has the account's key can "
            f"run commands on this machine{_which_key(options)}.",
            file=sys.stderr,
        )
    print(
        f"azure-batch-emulator ready at {emulator.url} (account {DEV_ACCOUNT}, runner {options.runner}){beside}"
    )
    print(f"What it does shows, in a browser on this machine, {emulator.url}/")
    trusted = options.ca or options.cert
    print(hint(emulator.port, blobs.port if blobs else None, emulator.host, trusted), flush=True)


def _which_key(options: argparse.Namespace) -> str:
    if options.accept_published_key:
        return ": with --accept-published-key that is everybody"
    return "" if options.location else "; to have one for them, give --location"


def load_certificate(
    cert: Path | None, key: Path | None, ca: Path | None, hosts: Iterable[str] = (LOOPBACK,)
) -> Certificate | None:
    """What --cert, --key and --ca give, checked for what listens on `hosts`; None without them. Else a
    CertificateError."""
    if cert is None and key is None:
        if ca is not None:
            raise CertificateError("--ca is the authority of a certificate: give --cert and --key as well.")
        return None
    if cert is None or key is None:
        raise CertificateError("A certificate and its key go together: give both --cert and --key.")
    certificate = Certificate(cert, key, ca)
    certificate.check(datetime.now(UTC), map(own_address, hosts))
    return certificate


def _open_request_log(name: str | None, cleanup: contextlib.ExitStack) -> TextIO | None:
    if name is None or name == "-":
        return sys.stderr if name else None
    try:
        return cleanup.enter_context(Path(name).open("a", encoding="utf-8"))
    except OSError as error:
        raise StartError(
            f"The file {name} can't be written to ({error.strerror}); choose another with --request-log."
        ) from None


def _temporary_directory(cleanup: contextlib.ExitStack) -> Path:
    directory = tempfile.TemporaryDirectory(prefix="abe-blobs-", ignore_cleanup_errors=True)
    return Path(cleanup.enter_context(directory))
