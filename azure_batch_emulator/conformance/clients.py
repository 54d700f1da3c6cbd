"""The published client for an account, its requests recorded, and tokens of Entra ID. Imported when they are needed."""

import logging
from collections.abc import Callable
from typing import Any

from .wire import Account, Answer, Wire

SCOPE = "https://batch.core.windows.net/.default"


def token_of() -> Callable[[], str]:
    """A function that gives tokens for the Batch service; a ValueError where the library is not installed."""
    try:
        from azure.identity import DefaultAzureCredential
    except ImportError:
        raise ValueError(
            "There is no key in AZ_BATCH_ACCOUNT_KEY, and azure-identity, which signs in to Entra ID, is not installed."
        ) from None
    credential = DefaultAzureCredential()
    return lambda: credential.get_token(SCOPE).token


def client_of(account: Account, wire: Wire) -> Any:
    """azure-batch's BatchClient, which sends a request once."""
    logging.getLogger("azure").addHandler(logging.NullHandler())  # it warns of answers that it can't read
    from azure.batch import BatchClient
    from azure.core.credentials import AzureNamedKeyCredential
    from azure.core.pipeline.policies import SansIOHTTPPolicy

    class Recorder(SansIOHTTPPolicy):
        def on_response(self, request: Any, response: Any) -> None:
            asked, got = request.http_request, response.http_response
            answer = Answer(got.status_code, dict(got.headers), b"")
            wire.record(asked.method, asked.url, dict(asked.headers), b"", answer)

    if account.key:
        credential: Any = AzureNamedKeyCredential(account.name, account.key)
    else:
        from azure.identity import DefaultAzureCredential

        credential = DefaultAzureCredential()
    return BatchClient(account.url, credential, retry_total=0, per_retry_policies=[Recorder()])
