"""What tests do that have to mount something on this machine.

Where that can't be done, the test is skipped and says why; with AZBATCH_REQUIRE_MOUNTS=1 it fails instead.
`misc/setup/mounting` installs what is needed on Debian.
"""

import os
from typing import NoReturn

import pytest

from azure_batch_emulator.host.azurite import accounts
from azure_batch_emulator.nodes.mounts import mountable


def cannot_mount(reason: str) -> NoReturn:
    if os.environ.get("AZBATCH_REQUIRE_MOUNTS") == "1":
        pytest.fail(f"{reason} (AZBATCH_REQUIRE_MOUNTS is set)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def fuse() -> None:
    """The emulator can mount containers of blobs."""
    if reason := mountable(accounts(0)).missing:
        cannot_mount(reason)
