"""The connection to a Batch account: how each request is made, whatever it is about.

The SDK's pipeline tries again what time may heal (`snakemake.azure.retry`), POST requests too, as each of a run's can
be repeated: what a request made whose answer was lost is found to be there (`_forgiving`). For some moments the service
may not know what it has just made, which is waited out as well (`_settled`). What remains becomes a `BatchError`
(`_explained`). Most requests are methods of the SDK's client; those about thousands of tasks go by its pipeline alone
(`_send`).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from snakemake.azure import retry
from snakemake.azure.batch.account import API_VERSION, BatchAccount
from snakemake.azure.batch.errors import BatchError, explained
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
        """The SDK's, made for the first request."""
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

    def _note_made(self, name: str) -> None:
        """Of a pool or job: before the request, as its answer may come late or never, and after it."""
        self._made[name] = self.service.patience.clock()

    def _explained(self, doing: str, by_resource_manager: bool = False) -> AbstractContextManager[None]:
        """Turns the SDK's exceptions into a `BatchError` that says what was being done."""
        return explained(doing, self.account, self.service, by_resource_manager)

    @contextmanager
    def _forgiving(self, *codes: str) -> Iterator[None]:
        """Takes these refusals for success."""
        try:
            yield
        except BatchError as e:
            if e.code not in codes:
                raise

    def _delete(self, doing: str, begin: Callable[[], Any], going: str) -> bool:
        """Whether there was something to delete; `going` is the code that says that it is being deleted as it is."""
        try:
            with self._explained(doing):
                begin()
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
        """Closes what has been opened to both services."""
        self.resource_manager.close()
        if "client" in self.__dict__:
            self.client.close()
