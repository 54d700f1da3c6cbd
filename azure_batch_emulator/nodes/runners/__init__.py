"""How the emulator's nodes carry out tasks: as processes, as containers, or not at all."""

from .base import BindMount, ContainerSpec, NodeSpec, Runner, Stage, TaskLaunch

__all__ = [
    "RUNNERS",
    "BindMount",
    "ContainerSpec",
    "NodeSpec",
    "Runner",
    "Stage",
    "TaskLaunch",
    "check_runner",
    "make_runner",
]

RUNNERS = ("process", "docker", "none")


def make_runner(name: str) -> Runner | None:
    """The runner of this name, one of RUNNERS; else a ValueError. Nothing is started or connected yet.

    `none` has none: see `nodes.simulated`."""
    if name == "process":
        from .process import ProcessRunner

        return ProcessRunner()
    if name == "docker":
        from .docker import DockerRunner

        return DockerRunner()
    if name == "none":
        return None
    raise ValueError(f"There is no runner {name!r}; --runner takes one of {', '.join(RUNNERS)}.")


def check_runner(name: str) -> str | None:
    """Why the runner of this name can't work on this machine, in one sentence; None if it can."""
    if name != "docker":
        return None
    from .container_engine import ENGINE_ERRORS, connect, unavailable

    try:
        connect().close()
    except ENGINE_ERRORS as error:
        return unavailable(error).message
    return None
