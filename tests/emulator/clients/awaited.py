"""The asynchronous client in the shape of the other one, so that the same tests go through both."""

import asyncio
import inspect
from collections.abc import AsyncIterator

from azure.batch.aio import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.pipeline.transport import AsyncioRequestsTransport


class Awaited:
    """Calls a client of `azure.batch.aio` and waits for what comes of it: lists and downloads are whole."""

    def __init__(self, url: str, account: str, key: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = BatchClient(
            url, AzureNamedKeyCredential(account, key), transport=AsyncioRequestsTransport()
        )

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*args, **options):
            return self._loop.run_until_complete(self._awaited(name, method(*args, **options)))

        return call

    async def _awaited(self, name, result):
        if inspect.isawaitable(result):
            result = await result
        if name.startswith("begin_"):
            return _Poller(self._loop, result)
        if isinstance(result, AsyncIterator):
            return [item async for item in result]
        return result

    def end(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


class _Poller:
    def __init__(self, loop, poller) -> None:
        self._loop, self._poller = loop, poller

    def result(self):
        return self._loop.run_until_complete(self._poller.result())
