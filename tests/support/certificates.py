"""A certification authority for the length of a test session, and what it signed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from support.emulator import RunningEmulator, running_emulator


@dataclass(frozen=True)
class Pem:
    """Paths of PEM files: a certificate for 127.0.0.1, its key, and the authority that clients have to trust."""

    cert: Path
    key: Path
    ca: Path


def issue(folder: Path, *names: str, ca: trustme.CA | None = None, **options) -> Pem:
    ca = ca or trustme.CA()
    leaf = ca.issue_cert(*names, **options)
    pem = Pem(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    for i, blob in enumerate(leaf.cert_chain_pems):
        blob.write_to_path(str(pem.cert), append=i > 0)
    leaf.private_key_pem.write_to_path(str(pem.key))
    ca.cert_pem.write_to_path(str(pem.ca))
    return pem


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Pem:
    return issue(tmp_path_factory.mktemp("pem"), "127.0.0.1", "localhost")


@pytest.fixture(scope="session")
def secure_process(pem: Pem) -> Iterator[RunningEmulator]:
    """One emulator with https for the session, with Azurite beside it, also with https."""
    with running_emulator(cert=pem.cert, key=pem.key, ca=pem.ca, blob_port=0) as emulator:
        yield emulator


@pytest.fixture
def secure(secure_process: RunningEmulator, pem: Pem, monkeypatch: pytest.MonkeyPatch) -> RunningEmulator:
    """The session's emulator with https, emptied, and trusted by this process."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem.ca))
    secure_process.clean()
    return secure_process
