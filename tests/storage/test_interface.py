"""Snakemake's own acceptance suite for storage providers, as it comes, with each kind of credential."""

import uuid

import pytest
from snakemake_interface_storage_plugins.tests import TestStorageBase

from snakemake_storage_plugin_azblob import StorageProvider, StorageProviderSettings


class Suite(TestStorageBase):
    __test__ = False
    touch = True
    files_only = False

    @pytest.fixture(autouse=True)
    def _account(self, azurite):
        self.azurite = azurite
        self.container = azurite.new_container().container_name

    def get_storage_provider_cls(self):
        return StorageProvider

    def get_query(self, tmp_path):
        return f"az://{self.container}/some/path/{tmp_path.name}"

    def get_query_not_existing(self, tmp_path):
        return f"az://{self.container}/{uuid.uuid4().hex}"


class TestWithConnectionString(Suite):
    __test__ = True

    def get_storage_provider_settings(self):
        return StorageProviderSettings(connection_string=self.azurite.connection_string)


class TestWithAccountKey(Suite):
    __test__ = True

    def get_storage_provider_settings(self):
        return StorageProviderSettings(account_url=self.azurite.url, account_key=self.azurite.key)


class TestWithAccountSas(Suite):
    __test__ = True

    def get_storage_provider_settings(self):
        return StorageProviderSettings(account_url=self.azurite.sas_url())


class TestWithContainerSas(Suite):
    __test__ = True

    def get_storage_provider_settings(self):
        return StorageProviderSettings(account_url=self.azurite.sas_url(container=self.container))
