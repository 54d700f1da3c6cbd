"""`azure-batch-emulator conformance`: what the emulator takes for true, asked of a service."""

import argparse
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from . import probes as _probes  # noqa: F401 - makes itself known in PROBES
from . import report
from .clients import client_of, token_of
from .probe import PROBES, Context, Machine, Probe
from .run import Result, run
from .wire import Account, Wire

KEYS = ("AZ_BATCH_ACCOUNT_KEY", "AZURE_BATCH_ACCESS_KEY")
CONTAINER = "AZ_BATCH_CONFORMANCE_CONTAINER"
URLS = ("AZ_BATCH_ACCOUNT_URL", "AZURE_BATCH_ENDPOINT")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--account-url",
        metavar="URL",
        help="the service to ask: a Batch account, or an emulator (default: $AZ_BATCH_ACCOUNT_URL). "
        "The key comes from $AZ_BATCH_ACCOUNT_KEY; without one, Entra ID is asked (DefaultAzureCredential)",
    )
    parser.add_argument("--account-name", metavar="NAME", help="its name (default: from the URL)")
    parser.add_argument(
        "--only", action="append", metavar="PROBE", help="only this probe; more than once is fine"
    )
    parser.add_argument(
        "--without-nodes", action="store_true", help="only what needs no node, and so costs nothing"
    )
    parser.add_argument("--slow", action="store_true", help="also the probes that wait for minutes")
    parser.add_argument(
        "--vm-size", default=Machine.size, help="the size of the one node (default: %(default)s)"
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write requests and answers here, without secrets"
    )
    parser.add_argument(
        "--container-url",
        metavar="URL",
        help="a container of blobs, with a SAS that reads, writes, deletes and lists (sp=rwdl): also the probes of "
        "files that nodes fetch and store (default: $AZ_BATCH_CONFORMANCE_CONTAINER)",
    )
    parser.add_argument("--list", action="store_true", help="say which probes there are, and ask nothing")
    parser.add_argument("--yes", action="store_true", help="begin without asking")


def main(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> int:
    """0 where all facts hold, 1 where one differs or stayed unclear, 2 for a question that can't be put."""
    try:
        chosen = choose(options)
        if options.list:
            for probe in chosen:
                print(f"{probe.name}: {probe.fact} ({probe.certainty}, {probe.needs})")
            return 0
        container = container_of(options, environment)
        chosen = [probe for probe in chosen if container or not probe.storage]
        account = account_of(options, environment)
    except ValueError as error:
        print(f"azure-batch-emulator: {error}", file=sys.stderr)
        return 2
    context = Context(Wire(account), f"conformance-{uuid.uuid4().hex[:8]}", Machine(size=options.vm_size))
    context.container = container
    context.client = lambda: client_of(account, context.wire)
    print(announcement(context, chosen))
    if not (account.local or options.yes or not needs_node(chosen)) and not _agreed():
        return 2
    return _go(context, chosen, options.report)


def _go(context: Context, chosen: list[Probe], file: Path | None) -> int:
    results: list[Result] = []
    try:
        for result in run(context, chosen, print):
            results.append(result)
            print(report.line(result), flush=True)
    except KeyboardInterrupt:
        print("Interrupted; what was made has been deleted.", file=sys.stderr)
    if file is not None:
        report.write(file, results, context.wire.clean(context.wire.account.url))
    print(report.summary(results))
    return 0 if len(results) == len(chosen) and all(result.held for result in results) else 1


def choose(options: argparse.Namespace) -> list[Probe]:
    """The probes that are asked for; a ValueError for a name that is none's."""
    if unknown := sorted(set(options.only or ()) - set(PROBES)):
        raise ValueError(f"There is no probe {unknown[0]!r}; --list names them all.")
    chosen = [PROBES[name] for name in options.only] if options.only else list(PROBES.values())
    if not options.slow and not options.only:
        chosen = [probe for probe in chosen if probe.needs != "minutes"]
    return [probe for probe in chosen if not (options.without_nodes and probe.needs == "node")]


def needs_node(chosen: list[Probe]) -> bool:
    return any(probe.needs == "node" for probe in chosen)


def account_of(options: argparse.Namespace, environment: Mapping[str, str]) -> Account:
    """Whom to ask, and as whom; a ValueError where that is not said."""
    url = options.account_url or _first(environment, URLS)
    if not url:
        raise ValueError("No service is named: give --account-url, or set AZ_BATCH_ACCOUNT_URL.")
    url = url.rstrip("/")
    split = urlsplit(url)
    if split.scheme not in ("http", "https") or not split.hostname:
        raise ValueError(
            f"--account-url {url!r} is not a URL such as https://ACCOUNT.REGION.batch.azure.com."
        )
    given = options.account_name or _first(environment, ("AZ_BATCH_ACCOUNT_NAME", "AZURE_BATCH_ACCOUNT"))
    name = given or split.hostname.partition(".")[0]
    key = _first(environment, KEYS)
    return Account(url, name, key, None if key else token_of())


def container_of(options: argparse.Namespace, environment: Mapping[str, str]) -> str | None:
    """The container of blobs, if there is one; a ValueError for a URL without a SAS."""
    url = options.container_url or environment.get(CONTAINER)
    if url and "sig=" not in url:
        raise ValueError("--container-url is the URL of a container with its SAS (...?sv=...&sig=...).")
    return url or None


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environment[name] for name in names if environment.get(name)), None)


def announcement(context: Context, chosen: list[Probe]) -> str:
    """What will be made, and what that may cost."""
    text = (
        f"{len(chosen)} facts are asked of {context.wire.account.url}. What is made is named {context.prefix}-...: "
        "jobs, and pools without nodes"
    )
    if not needs_node(chosen):
        return text + ". They cost nothing, and are deleted at the end, also after Ctrl-C."
    return (
        f"{text}; and one pool with one node of {context.machine.size}, for some 10 to 30 minutes, and one whose first "
        "resize is stopped: on Azure, the price of one or two such machines for so long, some cents. All of it is "
        "deleted at the end, also after Ctrl-C."
    )


def _agreed() -> bool:
    if not sys.stdin.isatty():
        print("Begin with --yes, or ask for --without-nodes.", file=sys.stderr)
        return False
    return input("Begin? [y/N] ").strip().lower() in ("y", "yes")
