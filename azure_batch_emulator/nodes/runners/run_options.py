"""containerRunOptions: arguments of `docker create`; those that tasks are known to use are carried out.

The rest is refused rather than dropped, since a task that silently ran without an option would behave
otherwise on a real node.

https://learn.microsoft.com/azure/batch/batch-docker-container-workloads#container-settings-for-the-task,
https://docs.docker.com/reference/cli/docker/container/create/
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from ...core.entities import Failed
from .base import split_words

_SIZE = re.compile(r"(\d+)([bkmg]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_ULIMIT = re.compile(r"([a-z]+)=(-?\d+)(?::(-?\d+))?")


@dataclass(frozen=True)
class RunOptions:
    """The options taken apart. `ulimits` are (name, soft, hard), -1 is unlimited; `shm_size` is in bytes;
    None stands for an option that was not given."""

    volumes: tuple[str, ...] = ()
    environment: tuple[tuple[str, str | None], ...] = ()
    ulimits: tuple[tuple[str, int, int], ...] = ()
    shm_size: int | None = None
    ipc: str | None = None
    network: str | None = None
    workdir: str | None = None
    user: str | None = None
    entrypoint: str | None = None

    def environment_over(self, environment: Mapping[str, str]) -> dict[str, str]:
        """These variables over the task's; a name without a value takes the task's value, if there is one."""
        return {**environment, **{name: value for name, value in self.environment if value is not None}}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512m or 2g")
    return int(match[1]) * _UNITS[match[2].lower()]


def _volume(text: str) -> str:
    target = text.split(":")[1] if ":" in text else text
    if text.count(":") > 2 or not target.startswith("/") or text.startswith(":"):
        raise argparse.ArgumentTypeError(f"{text!r} is not SOURCE:TARGET or SOURCE:TARGET:OPTIONS")
    return text


def _variable(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME or NAME=VALUE")
    return name, value if equals else None


def _ulimit(text: str) -> tuple[str, int, int]:
    match = _ULIMIT.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SOFT or NAME=SOFT:HARD")
    return match[1], int(match[2]), int(match[3] or match[2])


def _parser() -> _Parser:
    parser = _Parser(add_help=False, allow_abbrev=False, prog="")
    add = parser.add_argument
    add("--rm", action="store_true")
    add("-v", "--volume", dest="volumes", action="append", type=_volume, default=[])
    add("-e", "--env", dest="environment", action="append", type=_variable, default=[])
    add("--ulimit", dest="ulimits", action="append", type=_ulimit, default=[])
    add("--shm-size", type=_size)
    add("--ipc")
    add("--network", "--net", dest="network")
    add("-w", "--workdir", dest="workdir")
    add("-u", "--user", dest="user")
    add("--entrypoint")
    return parser


def parse_run_options(text: str) -> RunOptions | Failed:
    """Takes a task's containerRunOptions apart, or says which of them is not carried out here.

    `--rm` is taken for granted: a container is always removed when its task is over.
    """
    try:
        found, unknown = _parser().parse_known_args(split_words(text))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not supported by the emulator")
    except ValueError as error:
        return invalid_settings(f"containerRunOptions: {error}.")
    return RunOptions(
        tuple(found.volumes),
        tuple(found.environment),
        tuple(found.ulimits),
        found.shm_size,
        found.ipc,
        found.network,
        found.workdir,
        found.user,
        found.entrypoint,
    )


def invalid_settings(reason: str) -> Failed:
    """The error of a task whose container cannot be made as it asks."""
    return Failed(
        "UserError",
        "ContainerInvalidSettings",
        "At least one value of specified task container settings is invalid",
        (("Message", reason),),
    )
