"""Requests made by hand, signed here independently of the emulator's own code."""

import base64
import hashlib
import hmac
import os
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

import requests

VERSION = "2025-06-01"
NO_RETRY = requests.Session()


def signature(key, account, method, url, headers, length):
    split = urlsplit(url)
    lower = {name.lower(): value for name, value in headers.items()}
    names = ["content-encoding", "content-language", None, "content-md5", "content-type", "date",
             "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"]  # fmt: skip
    text = method + "\n" + "\n".join(length if name is None else lower.get(name, "") for name in names) + "\n"
    for name in sorted(name for name in lower if name.startswith("ocp-")):
        text += f"{name}:{lower[name]}\n"
    text += f"/{account}{split.path}"
    for name, values in sorted(parse_qs(split.query).items()):
        text += f"\n{name}:{values[0]}"
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def send(emulator, method, path, body=None, *, headers=None, version=VERSION, key=None, account=None, length=None,
         date=None, authorization=None):  # fmt: skip
    """A signed request; what is not given is right."""
    url = emulator.url + path
    if version is not None:
        url += ("&" if "?" in path else "?") + f"api-version={version}"
    headers = {"ocp-date": format_datetime(date or datetime.now(UTC), usegmt=True)} | (headers or {})
    data = b""
    if body is not None:
        headers["Content-Type"] = "application/json; odata=minimalmetadata"
        data = (
            body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json_bytes(body)
        )
    if length is None:
        length = str(len(data)) if data else ("" if method in ("GET", "HEAD") else "0")
    account = account or emulator.account
    signed = signature(key or emulator.key, account, method, url, headers, length)
    headers["Authorization"] = authorization if authorization is not None else f"SharedKey {account}:{signed}"
    if authorization == "":
        del headers["Authorization"]
    prepared = requests.Request(method, url, headers=headers, data=data or None).prepare()
    prepared.url = url
    # (A session reads the environment only for requests that it prepares itself.)
    return NO_RETRY.send(prepared, timeout=30, verify=os.environ.get("REQUESTS_CA_BUNDLE", True))


def json_bytes(value):
    import json

    return json.dumps(value).encode()


def error(response, status, code):
    """Checks the shape of an error; gives its details."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"].replace(" ", "") == "application/json;odata=minimalmetadata"
    body = response.json()
    assert body["code"] == code, body
    assert body["odata.metadata"].endswith(
        "#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element"
    )
    assert body["message"]["lang"] == "en-US"
    text, request_id, time = body["message"]["value"].split("\n")
    assert text and request_id == "RequestId:" + response.headers["request-id"] and time.startswith("Time:20")
    return {entry["key"]: entry["value"] for entry in body.get("values", [])}
