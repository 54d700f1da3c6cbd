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

from . import DEFAULT_PORT, DEV_ACCOUNT, DEV_KEY, azurite
from .certificate import Certificate, CertificateError
from .clock import RealClock
from .identity import directory
from .packages import PackageError, PackageStore
from .profile_files import ProfileError, load_profile
from .runners import RUNNERS, check_runner
from .server import HOST, Emulator

DEFAULT_BLOB_PORT = 10000


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="azure-batch-emulator", description="A local Azure Batch service, on loopback only."
    )
    commands = top.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="serve until Ctrl-C or SIGTERM")
    start.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="port of the Batch service; 0 takes a free one"
    )
    start.add_argument(
        "--blob-port", type=_port, help="also start Azurite's blob service, on this port; 0 takes a free one"
    )
    start.add_argument(
        "--location", type=Path, help="directory for the nodes' files and blobs (default: a temporary one)"
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
    start.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"],
                       help="debug logs every request")  # fmt: skip
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


def check_location(location: Path) -> str | None:
    """Why nothing can be kept in a directory, in one sentence; None if it can. The directory is made."""
    try:
        location.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=location).close()
    except OSError as error:
        return f"The directory {location} can't be written to ({error.strerror}); choose another with --location."
    return None


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
    if (reason := check_runner(options.runner)) or (
        options.location and (reason := check_location(options.location))
    ):
        return _refuse(reason)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as cleanup:
        location = options.location
        if location is None:
            location = Path(
                cleanup.enter_context(tempfile.TemporaryDirectory(prefix="abe-", ignore_cleanup_errors=True))
            )
        ready, auto_storage = "", None
        if options.blob_port is not None:
            blobs = azurite.Azurite(options.blob_port, location / "azurite", certificate)
            try:
                blobs.start()
            except azurite.AzuriteError as error:
                return _refuse(str(error))
            cleanup.callback(blobs.stop)
            ready, auto_storage = f", blobs at {blobs.url}", blobs.url
        emulator = Emulator(
            profile,
            runner=options.runner,
            port=options.port,
            location=location / "nodes",
            clock=RealClock(options.time_scale),
            certificate=certificate,
            packages=packages,
            auto_storage=auto_storage,
            seed=options.seed,
        )
        try:
            emulator.start()
        except OSError as error:
            return _refuse(
                f"Port {options.port} can't be used ({error.strerror}); choose another with --port."
            )
        cleanup.callback(emulator.stop)
        print(
            f"azure-batch-emulator ready at {emulator.url} (account {DEV_ACCOUNT}, runner {options.runner}){ready}",
            flush=True,
        )
        stop.wait()
    return 0


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
