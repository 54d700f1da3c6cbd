"""Another user of the machine."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

import pytest

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def as_nobody(attack: Callable[..., Any], *arguments: Any) -> Any:
    """What `attack` returns (or raises), run by a process of the user nobody, who has nothing of this one's."""
    ours, theirs = multiprocessing.get_context("fork").Pipe()

    def run() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            theirs.send(attack(*arguments))
        except Exception as error:  # noqa: BLE001
            theirs.send(error)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    theirs.close()
    try:
        answer = ours.recv()
    finally:
        process.join(30)
    if isinstance(answer, Exception):
        raise answer
    return answer
