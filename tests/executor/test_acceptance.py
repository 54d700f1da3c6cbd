"""Snakemake's own acceptance suite for executors, unmodified, on the emulator and Azurite."""

import uuid
from collections.abc import Mapping

import pytest
import snakemake.common.tests
import snakemake.settings.types
from snakemake_interface_common.plugin_registry.plugin import TaggedSettings
from support.emulator import wait_until

from snakemake_executor_plugin_az_batch import ExecutorSettings
from snakemake_storage_plugin_azblob import StorageProviderSettings


class TestAcceptance(snakemake.common.tests.TestWorkflowsBase):
    __test__ = True

    @pytest.fixture(autouse=True)
    def services(self, emulator, azurite, monkeypatch):
        self.emulator, self.azurite = emulator, azurite
        self.prefix = f"az://acceptance/{uuid.uuid4().hex}"
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)

    def get_executor(self) -> str:
        return "az-batch"

    def get_executor_settings(self) -> ExecutorSettings:
        return ExecutorSettings(account_url=self.emulator.url)

    def get_assume_shared_fs(self) -> bool:
        return False

    def get_default_storage_provider(self) -> str:
        return "azblob"

    def get_default_storage_prefix(self) -> str:
        return self.prefix

    def get_default_storage_provider_settings(self) -> Mapping[str, TaggedSettings]:
        tagged = TaggedSettings()
        tagged.register_settings(StorageProviderSettings(connection_string=self.azurite.connection_string))
        return {"azblob": tagged}

    def get_remote_execution_settings(self) -> snakemake.settings.types.RemoteExecutionSettings:
        return snakemake.settings.types.RemoteExecutionSettings(
            seconds_between_status_checks=0, envvars=self.get_envvars(), container_image="snakemake:test"
        )

    def cleanup_test(self) -> None:
        wait_until(lambda: not list(self.emulator.client().list_jobs()))
