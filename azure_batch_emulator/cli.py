"""The command `azure-batch-emulator`: `start` serves until it is told to stop, `env` prints a client's settings,
`conformance` asks a service what the emulator takes for true."""

import argparse
import contextlib
import sys
from pathlib import Path

from . import DEFAULT_PORT, __version__
from .conformance import command as conformance
from .host.azurite import AzuriteError
from .nodes.runners import RUNNERS
from .service.binding import LOOPBACK, BindingError, check_host
from .service.client_environment import SHELLS, environment, lines
from .service.location import Location, LocationError
from .service.starting import start

DEFAULT_BLOB_PORT = 10000


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="azure-batch-emulator", description="A local Azure Batch service.")
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", required=True)
    _add_start_options(commands.add_parser("start", help="serve until Ctrl-C or SIGTERM"))
    _add_env_options(
        commands.add_parser("env", help="print a shell's commands for clients of a running emulator")
    )
    conformance.add_options(
        commands.add_parser("conformance", help="ask a Batch account whether it does what the emulator does")
    )
    return top


def _add_start_options(start: argparse.ArgumentParser) -> None:
    start.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help="port of the Batch service; 0 takes a free one (default: %(default)s)",
    )
    start.add_argument(
        "--host",
        default=LOOPBACK,
        metavar="ADDRESS",
        help="listen on this address instead of 127.0.0.1; not loopback only with --allow-remote",
    )
    start.add_argument(
        "--allow-remote",
        action="store_true",
        help="with --host: let others than this machine run commands on it",
    )
    start.add_argument(
        "--accept-published-key",
        action="store_true",
        help="take the published key and secret from other users of this machine, too (default: from its own alone)",
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
    _add_service_options(start)


def _add_service_options(start: argparse.ArgumentParser) -> None:
    start.add_argument(
        "--profile",
        default="fast",
        help="delays, quotas and faults: fast (the default), realistic, chaos, or a JSON file",
    )
    start.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="make ids, delays and faults from this number (default: a random one)",
    )
    start.add_argument(
        "--runner",
        choices=RUNNERS,
        default="process",
        help="what carries out the tasks (default: %(default)s)",
    )
    start.add_argument(
        "--applications",
        type=Path,
        metavar="DIR",
        help="application packages of the account: DIR/NAME/VERSION.zip",
    )
    start.add_argument(
        "--time-scale",
        type=_scale,
        default=1.0,
        metavar="N",
        help="run the service's clock N times as fast; tasks take as long as ever",
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
    start.add_argument(
        "--log-level",
        default="warning",
        choices=["debug", "info", "warning", "error"],
        help="how much of its own log is printed, on stderr (default: %(default)s)",
    )


def _add_env_options(env: argparse.ArgumentParser) -> None:
    env.add_argument("--port", type=_port, default=DEFAULT_PORT, help="its port (default: %(default)s)")
    env.add_argument(
        "--blob-port", type=_port, default=DEFAULT_BLOB_PORT, help="Azurite's port (default: %(default)s)"
    )
    env.add_argument(
        "--location",
        type=Path,
        metavar="DIR",
        help="print the key of this start, which its location keeps, in place of the published one",
    )
    env.add_argument("--host", type=_host, default=LOOPBACK, help="where the emulator listens")
    env.add_argument(
        "--shell", choices=SHELLS, default="bash", help="whose words to use; bash's are zsh's, too"
    )
    env.add_argument(
        "--ca",
        type=_authority,
        metavar="PEM",
        help="https: the authority to trust (or the self-signed certificate)",
    )


def _host(text: str) -> str:
    try:
        return check_host(text, allow_remote=True)
    except BindingError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _scale(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"the time scale is a positive number, not {text!r}")


def _port(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= (value := int(text)) <= 65535:
            return value
    raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")


def _authority(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.command == "conformance":
        return conformance.main(options)
    if options.command == "start":
        return start(options)
    try:
        key = Location(options.location).read_key() if options.location else None
        variables = environment(options.port, options.blob_port, options.ca, options.host, key)
    except (AzuriteError, LocationError) as error:
        print(f"azure-batch-emulator: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines(variables, options.shell)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
