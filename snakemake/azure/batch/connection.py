"""The connection to a Batch account: how each request is made, whatever it is about."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from snakemake.azure import retry
from snakemake.azure.batch.account import API_VERSION, BatchAccount
from snakemake.azure.batch.errors import BatchError, error_details, option_for, resource_manager_refused
from snakemake.azure.batch.resource_manager import ResourceManager
from snakemake.azure.batch.service_clock import ServiceClock

if TYPE_CHECKING:
    from azure.batch import BatchClient

T = TypeVar("T")

JSON = {"Accept": "application/json", "Content-Type": "application/json; odata=minimalmetadata"}

SETTLING = 60.0
"""Seconds after its creation in which a job or pool that is not found is looked for again."""

SETTLING_PAUSE = 1.0


class Connection:
    """What all requests to a Batch account have in common."""

    def __init__(
        self, account: BatchAccount, service: retry.Service | None = None, subscription: str = ""
    ) -> None:
        """`subscription` is where the account is, for pools that get an identity."""
        self.account = account
        self.resource_manager = ResourceManager(account, subscription)
        self.clock = ServiceClock()
        self.service = service or account.service()
        self._made: dict[str, float] = {}

    @cached_property
    def client(self) -> "BatchClient":
        return self.account.client(self.service, raw_response_hook=self.clock.hear)

    def _settled(self, name: str, call: Callable[[], T]) -> T:
        """What `call` returns. A 404 soon after the creation of the pool or job `name` is no answer: the service is not
        consistent at once."""
        patience = self.service.patience
        while True:
            try:
                return call()
            except BatchError as e:
                age = patience.clock() - self._made.get(name, float("-inf"))
                if e.status != 404 or age >= SETTLING or not patience.sleep(SETTLING_PAUSE):
                    raise

    def _note(self, name: str) -> None:
        self._made[name] = self.service.patience.clock()

    @contextmanager
    def _explained(self, doing: str, by_resource_manager: bool = False) -> Iterator[None]:
        """Turns the SDK's exceptions into a `BatchError` that says what was being done."""
        from azure.core.exceptions import (
            AzureError,
            ClientAuthenticationError,
            HttpResponseError,
            ServiceRequestError,
            ServiceResponseError,
        )

        try:
            yield
        except HttpResponseError as e:
            code, text = error_details(e)
            if by_resource_manager and e.status_code in (400, 401, 403, 404):
                raise BatchError(resource_manager_refused(doing, code, text), code, e.status_code) from None
            if e.status_code in (401, 403) or isinstance(e, ClientAuthenticationError):
                raise BatchError(self._refused(code, text), code, e.status_code) from None
            reason = ": ".join(filter(None, (code, text))) or f"HTTP status {e.status_code}"
            sentence = f"Azure Batch refused to {doing}: {reason.rstrip('.')}.{option_for(text)}"
            raise BatchError(sentence, code, e.status_code) from None
        except (ServiceRequestError, ServiceResponseError):
            raise BatchError(self._unreachable(doing)) from None
        except AzureError as e:
            raise BatchError(f"Azure Batch could not {doing}: {type(e).__name__}.") from None

    def _refused(self, code: str, text: str) -> str:
        why = f" ({code}: {text.splitlines()[0]})" if text else f" ({code})" if code else ""
        if self.account.key is None:
            return (
                f"The Batch account {self.account.name} accepts no credentials that were found here{why}: set "
                "AZ_BATCH_ACCOUNT_KEY, or log in (az login) with an identity that has the role "
                "'Azure Batch Data Contributor' on the account ('Azure Batch Job Submitter' for --az-batch-pool-id)."
            )
        return (
            f"The Batch account {self.account.name} at {self.account.endpoint} refused the key{why}: set "
            "AZ_BATCH_ACCOUNT_KEY to one of its two keys (az batch account keys list) and check "
            "AZ_BATCH_ACCOUNT_NAME."
        )

    def _unreachable(self, doing: str) -> str:
        url = self.account.endpoint
        if self.service.has_answered:
            waited = retry.duration(self.service.patience.seconds)
            return (
                f"The Batch service at {url} does not answer any more (trying to {doing}; --az-batch-patience is "
                f"{waited}): check the network, and start again."
            )
        if url.startswith("http://"):
            return (
                f"No Batch emulator answers at {url} (trying to {doing}): start it with "
                "'azure-batch-emulator start', or set --az-batch-account-url."
            )
        return f"No Batch service answers at {url} (trying to {doing}): check --az-batch-account-url and the network."

    @contextmanager
    def _forgiving(self, *codes: str) -> Iterator[None]:
        try:
            yield
        except BatchError as e:
            if e.code not in codes:
                raise

    def _delete(self, kind: str, name: str, going: str) -> bool:
        begin = self.client.begin_delete_pool if kind == "pool" else self.client.begin_delete_job
        try:
            with self._explained(f"delete the {kind} {name}"):
                begin(name, polling_interval=3600)
        except BatchError as e:
            if e.status == 404:
                return False
            if e.code != going:
                raise
        return True

    def _send(self, doing: str, method: str, url: str, **content: Any) -> dict[str, Any]:
        """The JSON of an answer, by the SDK's pipeline but without its objects: for thousands of tasks."""
        from azure.batch.models import BatchError as ErrorBody
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        if "api-version=" not in url:  # as that of a list's next page may have it
            content["params"] = {"api-version": API_VERSION, **content.get("params", {})}
        request = HttpRequest(method, url, headers=JSON, **content)
        with self._explained(doing):
            answer = self.client.send_request(request)
            if answer.status_code >= 400:
                with suppress(ValueError):
                    raise HttpResponseError(response=answer, model=ErrorBody(answer.json()))
                raise HttpResponseError(response=answer)
            return answer.json()

    def close(self) -> None:
        self.resource_manager.close()
        if "client" in self.__dict__:
            self.client.close()
