"""Azurite beside the emulator: the blob service that tasks and clients use.

Its accounts are those of AZURITE_ACCOUNTS (`NAME:KEY;NAME:KEY`), if that is set, else its published one.
https://learn.microsoft.com/azure/storage/common/storage-use-azurite#custom-storage-accounts-and-keys
"""

import base64
import binascii
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .certificate import Certificate
from .orphans import MARK

ACCOUNT = "devstoreaccount1"
# Azurite's published development key.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
ACCOUNTS = "AZURITE_ACCOUNTS"
START_SECONDS = 60
_LISTENING = re.compile(
    # of `azurite`, and of `azurite-blob`
    rb"Blob service (?:is successfully listening at|successfully listens on) https?://\S+:(\d+)\s"
)


@dataclass(frozen=True)
class StorageAccount:
    """A storage account in Azurite: its name, its URL and its key."""

    name: str
    url: str
    key: str


class AzuriteError(RuntimeError):
    """Azurite could not be found or did not start; the message says what to do."""


def find() -> str:
    """The executable: $AZURITE, then beside this interpreter, then on the PATH."""
    beside = Path(sys.executable).parent / "azurite"
    for candidate in (
        os.environ.get("AZURITE"),
        str(beside) if beside.exists() else None,
        shutil.which("azurite"),
    ):
        if candidate:
            return candidate
    raise AzuriteError(
        "Azurite is not installed: `npm install -g azurite` installs it (with Node.js 22 or newer), AZURITE names "
        "one that is not on the PATH, and without --blob-port the emulator needs none."
    )


def accounts(
    port: int, scheme: str = "http", given: Mapping[str, str] = os.environ
) -> tuple[StorageAccount, ...]:
    """Those of an Azurite on `port` that has the variables `given`; an AzuriteError if they can't be read."""
    pairs = [(ACCOUNT, KEY)]
    if text := given.get(ACCOUNTS):
        pairs = [_pair(part) for part in text.split(";") if part.strip()]
        if not pairs or len(dict(pairs)) < len(pairs):
            raise AzuriteError(f"{ACCOUNTS} has no account, or one twice: it is NAME:KEY;NAME:KEY.")
    return tuple(StorageAccount(name, f"{scheme}://127.0.0.1:{port}/{name}", key) for name, key in pairs)


def _pair(text: str) -> tuple[str, str]:
    """Name and first key; the text has secrets, so it is not repeated."""
    name, key = [*text.strip().split(":"), ""][:2]
    try:
        good = bool(re.fullmatch(r"[a-z0-9]{3,24}", name) and base64.b64decode(key, validate=True))
    except binascii.Error:
        good = False
    if not good:
        raise AzuriteError(
            f"{ACCOUNTS} can't be read: it is NAME:KEY;NAME:KEY, with 3 to 24 lower-case letters and digits in a name "
            "and keys in base64."
        )
    return name, key


def url_with_sas(account: StorageAccount, days: int = 30) -> str:
    """The account's URL with a SAS for everything, valid for `days`."""
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    sas = generate_account_sas(
        account.name,
        account.key,
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(
            read=True, write=True, delete=True, list=True, add=True, create=True, update=True, tag=True
        ),
        expiry=datetime.now(UTC) + timedelta(days=days),
        start=datetime.now(UTC) - timedelta(minutes=15),
    )
    return f"{account.url}?{sas}"


class Azurite:
    """Azurite's blob service on loopback, with its data in `directory`.

    With a certificate it serves https, and takes tokens of Entra ID too (`--oauth basic`), which it needs https for.
    """

    def __init__(self, port: int, directory: Path, certificate: Certificate | None = None) -> None:
        self.port, self._directory, self._certificate = port, directory, certificate
        self._process: subprocess.Popen | None = None

    @property
    def accounts(self) -> tuple[StorageAccount, ...]:
        """The first is the one that is linked to the Batch account."""
        return accounts(self.port, "https" if self._certificate else "http")

    @property
    def url(self) -> str:
        return self.accounts[0].url

    def start(self) -> None:
        """An AzuriteError if it can't be."""
        executable = find()
        accounts(self.port)  # Azurite itself would say nothing, and have none
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                raise AzuriteError(
                    f"Port {self.port} can't be used for Azurite ({error.strerror}); choose another with --blob-port."
                ) from None
        self._directory.mkdir(parents=True, exist_ok=True)
        command = Path(executable).name.removesuffix(".cmd")
        blob_only = command == "azurite-blob"
        arguments = [executable, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        arguments += [
            "--location",
            str(self._directory),
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            str(self.port),
        ]
        if self._certificate:
            arguments += ["--cert", str(self._certificate.cert), "--key", str(self._certificate.key)]
            arguments += ["--oauth", "basic"]
        if not blob_only:
            arguments += ["--queuePort", "0", "--tablePort", "0"]
        # (A file, not a pipe: it goes on writing when this process has been killed.)
        said = self._directory / "azurite.log"
        with said.open("wb") as output:
            try:
                self._process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {MARK: str(self._directory)},
                    start_new_session=True,
                )
            except OSError as error:
                raise AzuriteError(
                    f"Azurite can't be started as {executable} ({error.strerror}); AZURITE names another one."
                ) from None
        self.port = self._listens(said)

    def _listens(self, said: Path) -> int:
        """Waits until it says that it listens, and on which port: whoever answers at a port may be another."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            code = self._process.poll()
            if match := _LISTENING.search(said.read_bytes()):
                return int(match[1])
            if code is not None:
                message = said.read_text(errors="replace").strip()
                raise AzuriteError(f"Azurite ended at once with exit code {code}: {message[-500:]}")
            time.sleep(0.05)
        self.stop()
        raise AzuriteError(f"Azurite did not listen within {START_SECONDS} seconds.")

    def ended(self) -> int | None:
        """The exit code of an Azurite that has ended by itself; None while it runs."""
        return self._process.poll() if self._process is not None else None

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
