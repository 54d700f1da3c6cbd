"""Signed requests to a Batch service, and a record of them without secrets.

https://learn.microsoft.com/rest/api/batchservice/authenticate-requests-to-the-azure-batch-service
"""

import base64
import hashlib
import hmac
import json
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

VERSION = "2025-06-01"
JSON = "application/json; odata=minimalmetadata"
TIMEOUT_SECONDS = 60
_SIGNED = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
    "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip
_SECRETS = re.compile(
    r'(?i)(sig=|"(?:password|accountkey|saskey|token)"\s*:\s*"|sharedkey [^:\s"]+:|bearer )[^&"\s]+'
)


@dataclass(frozen=True)
class Account:
    """A Batch account: its URL, its name, and its key (base64) or a function that gives tokens."""

    url: str
    name: str
    key: str | None = None
    token: Callable[[], str] | None = None

    @property
    def local(self) -> bool:
        """Whether the service is on this machine: it costs nothing then."""
        host = urlsplit(self.url).hostname or ""
        return host in ("127.0.0.1", "::1", "localhost") or host.endswith(".localhost")


@dataclass(frozen=True)
class Answer:
    """`headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        """The body, or nothing where it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    @property
    def code(self) -> str:
        return self.json.get("code", "") if self.status >= 400 else ""

    @property
    def told(self) -> str:
        """The status, with the error's code."""
        return f"{self.status} {self.code}".strip()

    @property
    def details(self) -> dict[str, str]:
        return {value["key"]: value["value"] for value in self.json.get("values", ())}


@dataclass
class Wire:
    """One account over HTTP. `exchanges` holds what was sent and answered, without secrets."""

    account: Account
    exchanges: list[dict] = field(default_factory=list)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str = VERSION,
        headers: Mapping[str, str] | None = None,
        sign: bool = True,
        key: str | None = None,
        **query: str,
    ) -> Answer:
        """Sends one request, once; query parameters whose name has a `$` are given with `_`."""
        data = b"" if body is None else json.dumps(body).encode()
        pairs = {"api-version": version} | {name.replace("_", "$"): value for name, value in query.items()}
        url = f"{self.account.url}{path}?{urlencode(pairs, safe='$', quote_via=quote)}"
        sent = {"ocp-date": format_datetime(datetime.now(UTC), usegmt=True), **(headers or {})}
        if method not in ("GET", "HEAD"):
            sent["Content-Length"] = str(len(data))
        if data:
            sent["Content-Type"] = JSON
        if sign:
            sent["Authorization"] = self._authorization(method, url, sent, key)
        request = urllib.request.Request(url, data or None, sent, method=method)
        try:
            with _opener().open(request, timeout=TIMEOUT_SECONDS) as response:
                answer = Answer(response.status, _lower(response.headers), response.read())
        except urllib.error.HTTPError as error:
            answer = Answer(error.code, _lower(error.headers), error.read())
        self.record(method, url, sent, data, answer)
        return answer

    def blob(self, method: str, url: str, data: bytes = b"") -> Answer:
        """One request to Blob Storage; the URL brings its SAS."""
        headers = {"x-ms-version": "2021-12-02"}
        if method == "PUT":
            headers |= {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(url, data if method == "PUT" else None, headers, method=method)
        try:
            with _opener().open(request, timeout=TIMEOUT_SECONDS) as response:
                answer = Answer(response.status, _lower(response.headers), response.read())
        except urllib.error.HTTPError as error:
            answer = Answer(error.code, _lower(error.headers), error.read())
        self.record(method, url, headers, data, answer)
        return answer

    def record(self, method: str, url: str, headers: Mapping, data: bytes, answer: Answer) -> None:
        self.exchanges.append(
            {
                "method": method,
                "url": self.clean(url),
                "headers": {name: self.clean(str(value)) for name, value in headers.items()},
                "body": self.clean(data.decode("utf-8", "replace")),
                "status": answer.status,
                "answerHeaders": {name: self.clean(value) for name, value in answer.headers.items()},
                "answer": self.clean(answer.body[:20_000].decode("utf-8", "replace")),
            }
        )

    def clean(self, text: str) -> str:
        """Without keys, tokens and signatures, and with the account's name replaced."""
        text = _SECRETS.sub(r"\1(removed)", text)
        if self.account.key:
            text = text.replace(self.account.key, "(removed)")
        return text.replace(self.account.name, "ACCOUNT")

    def _authorization(self, method: str, url: str, headers: Mapping[str, str], key: str | None) -> str:
        key = key or self.account.key
        if key is None:
            assert self.account.token is not None
            return f"Bearer {self.account.token()}"
        split = urlsplit(url)
        lower = {name.lower(): value for name, value in headers.items()}
        text = method + "\n" + "".join(lower.get(name, "") + "\n" for name in _SIGNED)
        text += "".join(f"{name}:{lower[name]}\n" for name in sorted(lower) if name.startswith("ocp-"))
        text += f"/{self.account.name}{split.path}"
        text += "".join(f"\n{name}:{value}" for name, value in sorted(parse_qsl(split.query)))
        digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
        return f"SharedKey {self.account.name}:{base64.b64encode(digest).decode()}"


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _opener() -> urllib.request.OpenerDirector:
    trust = ssl.create_default_context(cafile=os.environ.get("REQUESTS_CA_BUNDLE"))
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust))
