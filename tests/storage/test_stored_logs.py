"""Logs of failed tasks in Blob Storage."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.stored_logs import StoredLogs, folder


@pytest.fixture
def container(azurite):
    return azurite.new_container()


@pytest.fixture
def account(azurite):
    return BlobAccount.resolve(azurite.url, azurite.key, environ={})


def logs_in(account, container):
    return StoredLogs(account, folder(f"{container.container_name}/p/.snakemake-azbatch/run/sources.tar.gz"))


def stored(container):
    return sorted(blob.name for blob in container.list_blobs())


@pytest.fixture
def written(account, container, tmp_path):
    for name in ("stderr.txt", "stdout.txt"):
        (tmp_path / name).write_text(f"{name} of a task")
        logs_in(account, container).store("task-1", tmp_path / name)
    container.upload_blob("p/.snakemake-azbatch/run/sources.tar.gz", b"")
    return logs_in(account, container)


def test_stored_beside_the_sources_and_deleted_alone(written, container):
    below = "p/.snakemake-azbatch/run"
    assert stored(container) == [f"{below}/logs/task-1/{n}.txt" for n in ("stderr", "stdout")] + [
        f"{below}/sources.tar.gz"
    ]
    assert written.fetch("task-1", "stderr.txt") == b"stderr.txt of a task"
    assert written.fetch("task-2", "stderr.txt") is None
    assert written.delete() and not written.delete()
    assert stored(container) == [f"{below}/sources.tar.gz"]


def test_nothing_to_delete_where_there_is_no_container(account):
    assert not StoredLogs(account, "no-such-container/run/logs").delete()


def test_without_the_permission_to_list(written, container, azurite):
    token = generate_container_sas(
        container.account_name,
        container.container_name,
        account_key=azurite.key,
        permission=ContainerSasPermissions(read=True, write=True, delete=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    logs = logs_in(BlobAccount.resolve(f"{azurite.url}?{token}", environ={}), container)
    logs.expect("task-1")
    assert logs.delete()
    assert stored(container) == ["p/.snakemake-azbatch/run/sources.tar.gz"]
