"""Which Batch account a run talks to, and with which credential."""

import base64
import binascii
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from snakemake.azure import retry
from snakemake.azure.login import batch_scope, login
from snakemake.azure.settings import (
    ExecutorSettings,
    SettingsError,
    endpoint,
    is_emulator,
    read_legacy_config,
)
from snakemake.azure.wire import is_loopback

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.core.credentials import AzureNamedKeyCredential, TokenCredential

# The emulator's published account, as Azurite has one: no secret.
EMULATOR_ACCOUNT = "devbatch"
EMULATOR_KEY = (
    "c25ha2VtYWtlLW9uLWF6dXJlLWJhdGNoLWVtdWxhdG9yLXB1Ymxpc2hlZC1kZXZlbG9wbWVudC1rZXktbm90LXNlY3JldCE="
)


# All that the SDK uses on what this run makes.
METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE", "POST"})

API_VERSION = "2025-06-01"
"""https://learn.microsoft.com/rest/api/batchservice/batch-api-status"""

UNLIMITED = 1_000_000
"""For the SDK's own counts of attempts, which are not to end them."""


@dataclass(frozen=True)
class BatchAccount:
    """A Batch account: endpoint, name and, for Shared Key, the key (never printed)."""

    endpoint: str
    name: str
    key: str | None = field(default=None, repr=False)

    @classmethod
    def resolve(cls, settings: ExecutorSettings, environ: Mapping[str, str] = os.environ) -> "BatchAccount":
        """From resolved settings and AZ_BATCH_ACCOUNT_NAME and AZ_BATCH_ACCOUNT_KEY.

        Raises
        ------
        SettingsError: the URL is malformed, the key is no key, or a loopback URL has no account name.
        """
        if not settings.account_url:
            raise SettingsError("The URL of the Batch account is missing: give --az-batch-account-url.")
        url = endpoint(settings.account_url)
        legacy = read_legacy_config(settings.config) if settings.config else None
        name = environ.get("AZ_BATCH_ACCOUNT_NAME") or (legacy and legacy.account_name) or ""
        key = environ.get("AZ_BATCH_ACCOUNT_KEY") or (legacy and legacy.account_key) or None
        if is_emulator(settings.account_url):
            return cls(url, EMULATOR_ACCOUNT, EMULATOR_KEY)
        if not name and not is_loopback(url):
            name = (urlsplit(url).hostname or "").partition(".")[0]
        if not name:
            raise SettingsError(
                f"The account's name is not part of --az-batch-account-url {url}: set AZ_BATCH_ACCOUNT_NAME."
            )
        if key is not None:
            try:
                base64.b64decode(key, validate=True)
            except (binascii.Error, ValueError):
                raise SettingsError(
                    "AZ_BATCH_ACCOUNT_KEY is not a key: set it to one of the account's two keys, which are "
                    "base64 text (az batch account keys list)."
                ) from None
        elif url.startswith("http://"):
            raise SettingsError(
                f"No key for the Batch account {name}: set AZ_BATCH_ACCOUNT_KEY (Entra ID needs an https URL)."
            )
        return cls(url, name, key)

    def credential(self) -> "AzureNamedKeyCredential | TokenCredential":
        if self.key is not None:
            from azure.core.credentials import AzureNamedKeyCredential

            return AzureNamedKeyCredential(self.name, self.key)
        return login(self.endpoint)

    def service(self) -> retry.Service:
        """What is known of the account's endpoint; the process's own."""
        return retry.service(f"Azure Batch at {self.endpoint}", is_loopback(self.endpoint))

    def client(self, service: retry.Service | None = None, **pipeline: Any) -> "BatchClient":
        """A client whose requests are tried again as `snakemake.azure.retry` says, POSTs included: those of `Batch` can
        be repeated."""
        from azure.batch import BatchClient

        # What it can't read of an error's answer, such as that to a file of a node that is gone, it logs with a
        # traceback. The error itself is raised, and told by who asked.
        logging.getLogger("azure.batch").setLevel(logging.ERROR)
        return BatchClient(
            self.endpoint,
            self.credential(),
            credential_scopes=[batch_scope(self.endpoint)],
            api_version=API_VERSION,
            retry_policy=retry_policy(service or self.service()),
            connection_timeout=10,
            read_timeout=60,
            logging_enable=False,
            **pipeline,
        )


def retry_policy(service: retry.Service) -> Any:
    """For clients of Azure's SDKs: their requests are tried again as `service` says."""
    from azure.core.pipeline.policies import RetryPolicy

    class WaitOut(RetryPolicy):
        """The SDK's own rewinds a request's body; what is worth another attempt, and when, is decided here."""

        def configure_retries(self, options: dict[str, Any]) -> dict[str, Any]:
            options.setdefault("retry_on_methods", METHODS)
            return super().configure_retries(options) | {"attempts": service.attempts()}

        def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
            if retry.of_answer(response.http_response.status_code, {}):
                return True
            settings["attempts"].over()
            return False

        def increment(self, settings: dict[str, Any], response: Any = None, error: Any = None) -> bool:
            if error is not None:
                trouble = retry.of_error(error)
            else:
                answer = response.http_response
                trouble = retry.of_answer(answer.status_code, answer.headers)
            return super().increment(settings, response, error) and settings["attempts"].again(trouble)

        def sleep(self, *_: Any, **__: Any) -> None:
            """`increment` has waited."""

    counts = ("retry_total", "retry_connect", "retry_read", "retry_status")
    unlimited: dict[str, Any] = dict.fromkeys(counts, UNLIMITED)
    return WaitOut(**unlimited)
