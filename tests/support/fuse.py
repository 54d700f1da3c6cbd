"""Whether containers of blobs can be mounted on this machine, as a fixture.

Where they can't, the test is skipped and says why; with AZBATCH_REQUIRE_FUSE=1 it fails instead. `misc/setup/fuse` installs
what is needed on Debian.
"""

import os

import pytest

from azure_batch_emulator.mounts import mountable


@pytest.fixture(scope="session")
def fuse() -> None:
    if reason := mountable("http://127.0.0.1").missing:
        if os.environ.get("AZBATCH_REQUIRE_FUSE") == "1":
            pytest.fail(f"{reason} (AZBATCH_REQUIRE_FUSE is set)")
        pytest.skip(reason)
