"""The storage account that is linked to the Batch account, as the service and its nodes use it: with the account's key.

https://learn.microsoft.com/azure/batch/accounts#azure-storage-accounts
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..host.azurite import StorageAccount
from ..protocol.errors import BatchError
from .access import NodeAccess

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobServiceClient

SKEW = timedelta(minutes=5)


class LinkedStorage:
    """Without an account, everything that needs one is StorageAccountNotFound."""

    def __init__(self, account: StorageAccount | None, access: NodeAccess) -> None:
        self._account, self._access = account, access

    @property
    def account(self) -> StorageAccount:
        if self._account is None:
            raise BatchError("StorageAccountNotFound")
        return self._account

    def container_url(self, name: str) -> str:
        """The URL of a container, with a SAS for reading that is valid for a day."""
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        if self._account is None:  # for a task from before a restart: it leads nowhere, as it should
            return f"/{name}"
        account = self._account
        permission = ContainerSasPermissions(read=True, list=True)
        expiry = datetime.now(UTC) + timedelta(days=1)
        sas = generate_container_sas(account.name, name, account.key, permission=permission, expiry=expiry)
        return f"{account.url}/{name}?{sas}"

    def blob_url(self, container: str, blob: str, expiry: datetime) -> str:
        """The URL of a blob, with a SAS for reading and writing it."""
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas

        account = self.account
        sas = generate_blob_sas(
            account.name,
            container,
            blob,
            account_key=account.key,
            permission=BlobSasPermissions(read=True, write=True),
            start=datetime.now(UTC) - SKEW,
            expiry=expiry,
        )
        return f"{account.url}/{container}/{blob}?{sas}"

    def make_container(self, name: str) -> None:
        """Unless it is there."""
        from azure.core.exceptions import ResourceExistsError

        with self._service() as service:
            try:
                service.create_container(name)
            except ResourceExistsError:
                return

    def has(self, container: str, blob: str) -> bool:
        with self._blob(container, blob) as client:
            return client.exists()

    def delete(self, container: str, blob: str) -> None:
        """Unless it is gone."""
        from azure.core.exceptions import ResourceNotFoundError

        with self._blob(container, blob) as client:
            try:
                client.delete_blob()
            except ResourceNotFoundError:
                return

    def save(self, container: str, blob: str, file: Path) -> None:
        """Downloads a blob. An OSError if it can't be had."""
        try:
            with self._blob(container, blob) as client, file.open("wb") as stream:
                client.download_blob().readinto(stream)
        except BatchError as error:
            raise OSError(str(error)) from None

    @contextmanager
    def _service(self) -> Iterator["BlobServiceClient"]:
        """A client, whose errors are those of a storage account that the service can't use."""
        from azure.core.exceptions import AzureError

        account = self.account
        credential = {"account_name": account.name, "account_key": account.key}
        try:
            with self._access.service(account.url, credential) as service:
                yield service
        except AzureError as error:
            reason = f"The linked storage account {account.name} can't be used: {type(error).__name__}."
            raise BatchError("OperationInvalidForCurrentState", [("Reason", reason)]) from None

    @contextmanager
    def _blob(self, container: str, blob: str) -> Iterator["BlobClient"]:
        with self._service() as service:
            yield service.get_blob_client(container, blob)
