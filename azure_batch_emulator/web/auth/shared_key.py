"""SharedKey signatures.

https://learn.microsoft.com/rest/api/batchservice/authenticate-requests-to-the-azure-batch-service
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from ...protocol.errors import BatchError
from ...protocol.wire import parse_time

MAX_SKEW = timedelta(minutes=15)
NOT_YOURS = (
    "What is published is accepted from the user who runs the emulator, on its machine, and from nobody else: use "
    "the key of this start, which `azure-batch-emulator env --location DIR` prints, or start the emulator with "
    "--accept-published-key."
)
_SIGNED = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
    "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip


def string_to_sign(
    method: str,
    raw_path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    account: str,
    content_length: str,
) -> str:
    """What a client signs. `headers` have lower-case names; `query` is decoded, `raw_path` is as it was sent."""
    lines = [method]
    lines += [content_length if name == "content-length" else headers.get(name, "") for name in _SIGNED]
    lines += [
        f"{name}:{value}" for name, value in sorted(headers.items()) if name.startswith("ocp-") and value
    ]
    first: dict[str, str] = {}
    for name, value in query:
        first.setdefault(name, value)
    text = "\n".join(lines) + f"\n/{account}{raw_path}"
    return text + "".join(f"\n{name}:{value}" for name, value in sorted(first.items()) if value)


def sign(key: str, text: str) -> str:
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class SharedKey:
    """Lets in who has one of the account's keys, within 15 minutes of the time that the request carries.

    `keys` are all of them; `published` is one that everybody knows, and that counts from the emulator's own user only.
    """

    def __init__(self, account: str, keys: Callable[[], Iterable[str]], published: str | None = None) -> None:
        self._account, self._keys, self._published = account, keys, published

    def check(
        self,
        method: str,
        raw_path: str,
        query: Iterable[tuple[str, str]],
        headers: Mapping[str, str],
        now: datetime,
        own: bool = True,
    ) -> None:
        """A BatchError unless the request is signed well. `now` is the true time, whatever the service's clock says;
        `own` says that the request is by the user who runs the emulator."""
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        account, colon, signature = credential.strip().partition(":")
        if scheme.lower() != "sharedkey" or not colon:
            raise BatchError(
                "InvalidAuthenticationInfo",
                [
                    (
                        "AuthenticationErrorDetail",
                        "The Authorization header is not 'SharedKey account:signature'.",
                    )
                ],
            )
        if account != self._account:
            raise _failed(f"The account '{account}' is not the one of this endpoint, '{self._account}'.")
        _check_date(headers.get("ocp-date") or headers.get("date"), now)
        query = list(query)
        # Clients disagree on how to sign the length of an absent body.
        lengths = dict.fromkeys([headers.get("content-length", ""), "", "0"])
        if headers.get("content-length") not in (None, "0"):
            lengths = {headers["content-length"]: None}
        for length in lengths:
            text = string_to_sign(method, raw_path, query, headers, account, length)
            for key in self._keys():
                if _equal(sign(key, text), signature):
                    if key == self._published and not own:
                        raise _failed(NOT_YOURS)
                    return
        shown = string_to_sign(method, raw_path, query, headers, account, next(iter(lengths)))
        raise _failed(
            "The MAC signature found in the HTTP request is not the same as any computed signature. "
            f"Server used following string to sign: {shown!r}"
        )


def _equal(expected: str, given: str) -> bool:
    try:
        return hmac.compare_digest(base64.b64decode(expected), base64.b64decode(given, validate=True))
    except (binascii.Error, ValueError):
        return False


def _check_date(text: str | None, now: datetime) -> None:
    if not text:
        raise _failed("Neither an ocp-date nor a Date header is there.")
    try:
        date = parse_time(text)
    except ValueError:
        raise _failed(f"The date '{text}' can't be read.") from None
    if abs(now - date) > MAX_SKEW:
        raise _failed(f"The date '{text}' is more than 15 minutes away from the service's time.")


def _failed(detail: str) -> BatchError:
    return BatchError("AuthenticationFailed", [("AuthenticationErrorDetail", detail)])
