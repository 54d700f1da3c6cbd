"""The registry that a pool's nodes log in to: by a user's name and password, or by a managed identity.

The password comes from the environment or from a file, and goes into the request that makes the pool, and nowhere else.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snakemake.azure.image.reference import parse_image_reference
from snakemake.azure.image.registry import RegistryLogin
from snakemake.azure.options import SettingsError
from snakemake.azure.pool_settings import PoolSettings
from snakemake.azure.secrets import remember

USER, PASSWORD = "AZ_BATCH_REGISTRY_USER", "AZ_BATCH_REGISTRY_PASSWORD"
OLDER_PASSWORDS = ("SNAKEMAKE_AZURE_BATCH_CONTAINER_REGISTRY_PASS", "BATCH_CONTAINER_REGISTRY_PASS")
"""Of the published plugin and of Snakemake 7, read where the password itself is not set."""


@dataclass(frozen=True)
class PrivateRegistry:
    """`server` is the registry's host; `identity` a resource id, in place of a login."""

    server: str
    login: RegistryLogin | None = None
    identity: str = ""

    def fingerprint(self) -> str:
        """The same for the same login. Slow to compute, since a pool's name tells of it."""
        if self.login is None:
            return f"{self.server} {self.identity.lower()}"
        salt = f"{self.server}\0{self.login.username}".encode()
        return hashlib.scrypt(self.login.password.encode(), salt=salt, n=2**14, r=8, p=1, dklen=16).hex()


def private_registry(
    settings: PoolSettings, image: str, environ: Mapping[str, str] = os.environ
) -> PrivateRegistry | None:
    """The registry that the options and the environment tell a login for; None where there is none.

    Raises
    ------
    SettingsError: half a login, or a file that holds none.
    """
    server = settings.registry or parse_image_reference(image).registry
    if settings.registry_identity:
        return PrivateRegistry(server, identity=settings.registry_identity)
    if settings.registry_login:
        return PrivateRegistry(server, _login_of_file(settings.registry_login))
    user = settings.registry_user or environ.get(USER, "")
    password = next((environ[name] for name in (PASSWORD, *OLDER_PASSWORDS) if environ.get(name)), "")
    remember([password])
    if user and password:
        return PrivateRegistry(server, RegistryLogin(user, password))
    if user:
        raise SettingsError(
            f"The password of {user} at the registry {server} is missing: set {PASSWORD}, or leave out --az-batch-"
            f"registry-user and {USER}."
        )
    if environ.get(PASSWORD):
        raise SettingsError(
            f"{PASSWORD} is set, but nobody's name: set {USER} or --az-batch-registry-user, or unset it."
        )
    if settings.registry:
        raise SettingsError(
            f"--az-batch-registry {server} goes with a login: set {USER} and {PASSWORD}, or "
            "--az-batch-registry-login or --az-batch-registry-identity."
        )
    return None


def _login_of_file(path: Path) -> RegistryLogin:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is not UTF-8"
        raise SettingsError(
            f"Cannot read the file given as --az-batch-registry-login: {path}: {why}."
        ) from None
    lines = [line.strip() for line in lines if line.strip()]
    if len(lines) != 2:
        raise SettingsError(
            f"The file given as --az-batch-registry-login must hold two lines, a user's name and a password: {path}."
        )
    remember([lines[1]])
    return RegistryLogin(*lines)
