"""The command `azure-batch-emulator`: `start` serves until it is told to stop, `env` prints a client's settings."""

import argparse
import contextlib
import logging
import shlex
import signal
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from . import DEFAULT_PORT, DEV_ACCOUNT, DEV_KEY, __version__, azurite
from .certificate import Certificate, CertificateError
from .clock import RealClock
from .identity import directory
from .location import Location, LocationError
from .packages import PackageError, PackageStore
from .profile_files import ProfileError, load_profile
from .runners import RUNNERS, check_runner
from .server import HOST, Emulator

DEFAULT_BLOB_PORT = 10000


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="azure-batch-emulator", description="A local Azure Batch service, on loopback only."
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="serve until Ctrl-C or SIGTERM")
    start.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="port of the Batch service; 0 takes a free one"
    )
    start.add_argument(
        "--blob-port", type=_port, help="also start Azurite's blob service, on this port; 0 takes a free one"
    )
    start.add_argument(
        "--location",
        type=Path,
        metavar="DIR",
        help="keep the account's state, nodes' files and blobs here over restarts (default: nothing is kept)",
    )
    start.add_argument(
        "--profile", default="fast", help="delays, quotas and faults: fast, realistic, chaos, or a JSON file"
    )
    start.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="make ids, delays and faults from this number (default: a random one)",
    )
    start.add_argument("--runner", choices=RUNNERS, default="process", help="what carries out the tasks")
    start.add_argument(
        "--applications",
        type=Path,
        metavar="DIR",
        help="application packages of the account: DIR/NAME/VERSION.zip",
    )
    start.add_argument(
        "--time-scale", type=_scale, default=1.0, metavar="N", help="run the service's clock N times as fast"
    )
    start.add_argument(
        "--cert", type=Path, metavar="PEM", help="serve https with this certificate (needs --key)"
    )
    start.add_argument(
        "--key", type=Path, metavar="PEM", help="the certificate's private key, without a password"
    )
    start.add_argument(
        "--ca", type=Path, metavar="PEM", help="the authority that signed it; tasks are told to trust it"
    )
    start.add_argument(
        "--request-log",
        metavar="FILE",
        help="append a line of JSON for each request to this file; - is stderr",
    )
    start.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    env = commands.add_parser("env", help="print export lines for clients of a running emulator")
    env.add_argument("--port", type=_port, default=DEFAULT_PORT)
    env.add_argument("--blob-port", type=_port, default=DEFAULT_BLOB_PORT)
    env.add_argument(
        "--ca",
        type=Path,
        metavar="PEM",
        help="https: the authority to trust (or the self-signed certificate)",
    )
    return top


def _scale(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("the time scale is a positive number")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return value


def load_certificate(cert: Path | None, key: Path | None, ca: Path | None) -> Certificate | None:
    """What --cert, --key and --ca give, checked; None without them. Else a CertificateError."""
    if cert is None and key is None:
        if ca is not None:
            raise CertificateError("--ca is the authority of a certificate: give --cert and --key as well.")
        return None
    if cert is None or key is None:
        raise CertificateError("A certificate and its key go together: give both --cert and --key.")
    certificate = Certificate(cert, key, ca)
    certificate.check(datetime.now(UTC))
    return certificate


def environment(port: int, blob_port: int, ca: Path | None = None) -> dict[str, str]:
    """What clients read: the SDK's callers and Snakemake, blob storage, and the az CLI. With an authority to trust, the
    URLs begin with https, and there is a login for Entra ID too."""
    scheme = "https" if ca else "http"
    url = f"{scheme}://{HOST}:{port}"
    variables = {
        "AZ_BATCH_ACCOUNT_URL": url,
        "AZ_BATCH_ACCOUNT_NAME": DEV_ACCOUNT,
        "AZ_BATCH_ACCOUNT_KEY": DEV_KEY,
        "AZ_BLOB_ACCOUNT_URL": azurite.account_url_with_sas(blob_port, scheme=scheme),
        "AZURE_BATCH_ACCOUNT": DEV_ACCOUNT,
        "AZURE_BATCH_ACCESS_KEY": DEV_KEY,
        "AZURE_BATCH_ENDPOINT": url,
    }
    if ca:
        variables |= {
            "AZURE_AUTHORITY_HOST": url,
            "AZURE_TENANT_ID": directory.ADFS,
            "AZURE_CLIENT_ID": directory.CLIENT_ID,
            "AZURE_CLIENT_SECRET": directory.CLIENT_SECRET,
            "AZURE_SUBSCRIPTION_ID": directory.SUBSCRIPTION,
            "REQUESTS_CA_BUNDLE": str(ca.absolute()),
            "NODE_EXTRA_CA_CERTS": str(ca.absolute()),
        }
    return variables


def start(options: argparse.Namespace) -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Not that of the libraries: those for HTTP log URLs with the signatures in them.
    logging.getLogger(__package__).setLevel(options.log_level.upper())
    packages = PackageStore(options.applications)
    try:
        profile = load_profile(options.profile)
        certificate = load_certificate(options.cert, options.key, options.ca)
        packages.load()
    except (ProfileError, CertificateError, PackageError) as error:
        return _refuse(str(error))
    if reason := check_runner(options.runner):
        return _refuse(reason)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as cleanup:
        location = Location(options.location) if options.location else None
        try:
            if location is not None:
                cleanup.callback(location.release)
                location.take()
        except LocationError as error:
            return _refuse(str(error))
        ready, auto_storage = "", None
        if options.blob_port is not None:
            directory = location.blobs if location else _temporary_directory(cleanup)
            blobs = azurite.Azurite(options.blob_port, directory, certificate)
            try:
                blobs.start()
            except azurite.AzuriteError as error:
                return _refuse(str(error))
            cleanup.callback(blobs.stop)
            ready, auto_storage = f", blobs at {blobs.url}", blobs.url
        try:
            request_log = open_request_log(options.request_log, cleanup)
        except OSError as error:
            return _refuse(
                f"The file {options.request_log} can't be written to ({error.strerror}); choose another with "
                "--request-log."
            )
        emulator = Emulator(
            profile,
            runner=options.runner,
            port=options.port,
            location=location,
            clock=RealClock(options.time_scale),
            certificate=certificate,
            packages=packages,
            auto_storage=auto_storage,
            seed=options.seed,
            request_log=request_log,
        )
        try:
            emulator.start()
        except OSError as error:
            return _refuse(
                f"Port {options.port} can't be used ({error.strerror}); choose another with --port."
            )
        except LocationError as error:
            return _refuse(str(error))
        cleanup.callback(emulator.stop)
        print(
            f"azure-batch-emulator ready at {emulator.url} (account {DEV_ACCOUNT}, runner {options.runner}){ready}",
            flush=True,
        )
        stop.wait()
    return 0


def open_request_log(name: str | None, cleanup: contextlib.ExitStack) -> TextIO | None:
    if name is None or name == "-":
        return sys.stderr if name else None
    return cleanup.enter_context(Path(name).open("a", encoding="utf-8"))


def _temporary_directory(cleanup: contextlib.ExitStack) -> Path:
    directory = tempfile.TemporaryDirectory(prefix="abe-blobs-", ignore_cleanup_errors=True)
    return Path(cleanup.enter_context(directory))


def _refuse(message: str) -> int:
    print(f"azure-batch-emulator: {message}", file=sys.stderr)
    return 1


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.command == "start":
        return start(options)
    for name, value in environment(options.port, options.blob_port, options.ca).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
