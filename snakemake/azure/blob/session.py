"""HTTP for the SDK: requests go out as the SDK has made them.

`requests` prepares each request: it merges headers, cookies and hooks of the session into it, quotes its URL, looks
for proxies and logins in the environment. The SDK has done what is needed of that and uses none of the rest, which
takes a tenth of the time of a small file.
"""

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

SCHEMES = ("http://", "https://")


class Session(requests.Session):
    """Connections to the host of `url`, of which `connections` stay open, by the proxies of the environment."""

    def __init__(self, url: str, connections: int) -> None:
        super().__init__()
        self.trust_env = False
        self.proxies = requests.utils.get_environ_proxies(url)
        for scheme in SCHEMES:
            self.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=connections))

    def request(  # type: ignore[override]  # fewer arguments: those that RequestsTransport gives
        self,
        method: str,
        url: str,
        *,
        headers: Any,
        data: Any,
        files: Any,
        allow_redirects: bool,
        stream: bool = False,
        proxies: Any = None,
        **options: Any,
    ) -> requests.Response:
        """Sends it; `options` are those of HTTPAdapter.send. Redirects are the SDK's own business."""
        if files:
            raise NotImplementedError("Forms are not sent to storage accounts.")
        request = requests.PreparedRequest()
        request.method, request.url, request.body = method, url, data
        request.headers = CaseInsensitiveDict(headers)
        request.headers.setdefault("Accept-Encoding", "identity")
        if isinstance(data, bytes):
            request.headers.setdefault("Content-Length", str(len(data)))
        response = self.get_adapter(url).send(
            request, stream=stream, proxies=proxies or self.proxies, **options
        )
        if not stream:
            response.content  # noqa: B018  # reads it
        return response
