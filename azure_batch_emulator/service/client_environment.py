"""The variables that clients of a running emulator read, in the words of several shells."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from .. import DEV_ACCOUNT, DEV_KEY
from ..host import azurite
from ..identity import directory
from .binding import LOOPBACK, local_address


def environment(
    port: int, blob_port: int, ca: Path | None = None, host: str = LOOPBACK, key: str | None = None
) -> dict[str, str]:
    """Those of the SDK's callers and Snakemake, of blob storage, and of the az CLI. With an authority to trust, the
    URLs begin with https, and there is a login for Entra ID too. `key` is that of one start of the emulator, None for
    what is published."""
    scheme = "https" if ca else "http"
    url = f"{scheme}://{local_address(host)}:{port}"
    variables = {
        "AZ_BATCH_ACCOUNT_URL": url,
        "AZ_BATCH_ACCOUNT_NAME": DEV_ACCOUNT,
        "AZ_BATCH_ACCOUNT_KEY": key or DEV_KEY,
        "AZ_BLOB_ACCOUNT_URL": azurite.url_with_sas(azurite.accounts(blob_port, scheme)[0]),
        "AZURE_BATCH_ACCOUNT": DEV_ACCOUNT,
        "AZURE_BATCH_ACCESS_KEY": key or DEV_KEY,
        "AZURE_BATCH_ENDPOINT": url,
    }
    if ca:
        variables |= {
            "AZURE_AUTHORITY_HOST": url,
            "AZURE_TENANT_ID": directory.ADFS,
            "AZURE_CLIENT_ID": directory.CLIENT_ID,
            "AZURE_CLIENT_SECRET": key or directory.CLIENT_SECRET,
            "AZURE_SUBSCRIPTION_ID": directory.SUBSCRIPTION,
            "REQUESTS_CA_BUNDLE": str(ca.absolute()),
            "NODE_EXTRA_CA_CERTS": str(ca.absolute()),
        }
    return variables


def _fish(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}'"


def _powershell(name: str, value: str) -> str:
    quoted = value.replace("'", "''")
    return f"$env:{name} = '{quoted}'"


SHELLS = {
    "bash": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": _fish,
    "powershell": _powershell,
}


def lines(variables: Mapping[str, str], shell: str) -> list[str]:
    """Commands of a shell, one of SHELLS (zsh and sh read those of bash)."""
    return [SHELLS[shell](name, value) for name, value in variables.items()]


def hint(port: int, blob_port: int | None, host: str, ca: Path | None) -> str:
    """What to paste in another terminal, once the emulator is ready. `ca` is what clients are to trust for https."""
    options = [f"--port {port}"]
    if blob_port is not None:
        options.append(f"--blob-port {blob_port}")
    if host != LOOPBACK:
        options.append(f"--host {host}")
    if ca is not None:
        options.append(f"--ca {shlex.quote(str(ca.absolute()))}")
    command = " ".join(["azure-batch-emulator env", *options])
    return f'For the SDK, the az CLI and Snakemake, in another terminal: eval "$({command})"'
