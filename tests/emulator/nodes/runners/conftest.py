"""A node on disk, and launches of tasks on it."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from azure_batch_emulator.nodes.runners import ContainerSpec, NodeSpec, TaskLaunch

Launch = Callable[..., TaskLaunch]


@pytest.fixture
def node(tmp_path: Path) -> NodeSpec:
    root = tmp_path / "node"
    root.mkdir()
    return NodeSpec("tvmps_1_d", root, 2, 2048, 2, (), ())


@pytest.fixture
def launch(node: NodeSpec) -> Launch:
    """Makes a task's directories and the launch of one run of it."""
    numbers = count(1)

    def make(
        command_line: str,
        environment: dict[str, str] | None = None,
        container: ContainerSpec | None = None,
        elevated: bool = False,
        slots: int = 1,
        node: NodeSpec = node,
    ) -> TaskLaunch:
        number = next(numbers)
        task_dir = node.root_dir / "workitems" / "job" / "job-1" / f"t{number}"
        (task_dir / "wd").mkdir(parents=True)
        return TaskLaunch(
            f"run-{number}", node, task_dir, command_line, environment or {}, container, elevated, slots
        )

    return make
