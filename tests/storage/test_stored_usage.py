"""Lines of what tasks have used: many tasks, few blobs, and no line lost when they write at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from snakemake.azure.blob.account import BlobAccount
from snakemake.azure.blob.service import connect
from snakemake.azure.blob.stored_logs import StoredLogs
from snakemake.azure.blob.stored_usage import append

TASKS = 40


@pytest.fixture
def account(azurite):
    return BlobAccount.resolve(
        environ={"AZ_BLOB_ACCOUNT_URL": azurite.url, "AZ_BLOB_ACCOUNT_KEY": azurite.key}
    )


def test_tasks_of_two_nodes(azurite, account):
    container = azurite.new_container()
    logs = f"{container.container_name}/run/logs"
    with connect(account) as service, ThreadPoolExecutor(8) as tasks:
        work = [tasks.submit(append, service, logs, f"node{n % 2}", b"%d\n" % n) for n in range(TASKS)]
        for each in work:
            each.result()
    blobs = [blob.name for blob in container.list_blobs()]
    assert (
        len({name.partition("-")[0] for name in blobs}) == 2 and len(blobs) <= 4
    )  # the hour may end meanwhile
    kept = []
    stored = StoredLogs(account, logs, keep=kept.append)
    assert stored.delete() and not list(container.list_blobs())
    assert sorted(map(int, b"".join(kept).split())) == list(range(TASKS)) and len(kept) == len(blobs)
    assert not stored.delete() and len(kept) == len(blobs)
