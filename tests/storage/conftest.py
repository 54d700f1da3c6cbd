"""Blobs and providers on the session's Azurite."""

import logging
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snakemake.azure.blob.account import NOT_FOR_NODES, BlobAccount
from snakemake.azure.blob.node_cache import NodeCache
from snakemake.azure.blob.store import BlobStore
from snakemake_storage_plugin_azblob import StorageObject, StorageProvider, StorageProviderSettings

from .workflows import Workflow


@pytest.fixture(autouse=True)
def no_credentials_of_the_user(monkeypatch):
    for name in [n for n in os.environ if n in NOT_FOR_NODES or n.startswith("AZURE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def container(azurite):
    """A new container, as the SDK's client with the account key."""
    return azurite.new_container()


@pytest.fixture
def account(azurite) -> BlobAccount:
    return BlobAccount.resolve(account_url=azurite.sas_url())


@pytest.fixture
def store(account) -> BlobStore:
    return BlobStore(account)


@pytest.fixture
def provider(azurite, tmp_path) -> StorageProvider:
    return StorageProvider(
        local_prefix=tmp_path / "storage",
        logger=logging.getLogger(__name__),
        settings=StorageProviderSettings(account_url=azurite.sas_url()),
    )


@pytest.fixture
def blob(provider, container) -> Callable[[str], StorageObject]:
    """Storage objects by their path in the new container."""
    return lambda path: provider.object(f"az://{container.container_name}/{path}")


@pytest.fixture
def workflow(azurite, container, tmp_path) -> Workflow:
    return Workflow(azurite, tmp_path, container.container_name)


@pytest.fixture
def data(container):
    """Puts blobs below data/, all at once."""

    def put(names: list[str]) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda name: container.upload_blob(f"runs/one/data/{name}", name.encode()), names))

    return put


@pytest.fixture
def tree(tmp_path) -> Callable[[str, dict[str, str]], Path]:
    """Makes files of a local folder from a dict; a name with a slash at its end is an empty directory."""

    def make(folder: str, files: dict[str, str]) -> Path:
        root = tmp_path / folder
        root.mkdir(parents=True)
        for name, text in files.items():
            path = root / name
            if name.endswith("/"):
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return root

    return make


@pytest.fixture
def shared(tmp_path) -> Path:
    path = tmp_path / "shared"
    path.mkdir()
    return path


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def cache(shared, account, warnings) -> NodeCache:
    return NodeCache(shared, account.url, free=0, warn=warnings.append)


@pytest.fixture
def task(account, cache, warnings):
    """Stores as the tasks of one node have them, each with nothing remembered."""

    def store(**options) -> BlobStore:
        mine = NodeCache(cache.root.parent, account.url, 0, warnings.append)
        return BlobStore(account, cache=mine, **options)

    yield store
    assert not warnings


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def content(root: Path) -> dict[str, str]:
    """The inverse of `tree`."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file():
            found[name] = path.read_text()
        elif not any(path.iterdir()):
            found[f"{name}/"] = ""
    return found
