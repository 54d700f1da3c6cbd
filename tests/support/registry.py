"""An image registry, which may ask for a login: the reading half of the distribution API, over one tiny image.

https://distribution.github.io/distribution/spec/api/
"""

import base64
import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tiny_image(text: str, **written: Any) -> tuple[bytes, dict[str, bytes]]:
    """The manifest of an image with one file, and its blobs by digest; `written` are `labels` and `history`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("content")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    layer = gzip.compress(buffer.getvalue(), mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/content"], "Labels": written.get("labels")},
            "history": written.get("history"),
            "rootfs": {"type": "layers", "diff_ids": [digest(buffer.getvalue())]},
        }
    ).encode()

    def part(media_type: str, data: bytes) -> dict:
        return {"mediaType": media_type, "size": len(data), "digest": digest(data)}

    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": part(CONFIG, config)}
    manifest["layers"] = [part(LAYER, layer)]
    return json.dumps(manifest).encode(), {digest(config): config, digest(layer): layer}


@contextmanager
def private_registry(repository: str, username: str, password: str) -> Iterator[str]:
    """Serves `repository`, any tag; yields the registry's host and port."""
    login = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    with _serving(repository, *tiny_image(repository), login) as host:
        yield host


@contextmanager
def public_registry(repository: str, labels: dict[str, str], history: list[dict[str, Any]]) -> Iterator[str]:
    """Serves an image with these labels and this history to everybody; yields the registry's host and port."""
    with _serving(repository, *tiny_image(repository, labels=labels, history=history)) as host:
        yield host


@contextmanager
def _serving(
    repository: str, manifest: bytes, blobs: dict[str, bytes], login: str | None = None
) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            base = f"/v2/{repository}"
            if login and self.headers.get("Authorization") != login:
                self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"log in first"}]}')
            elif self.path == "/v2/":
                self.answer(200, b"{}")
            elif self.path.startswith(f"{base}/manifests/"):
                self.answer(200, manifest, MANIFEST)
            elif blob := blobs.get(self.path.removeprefix(f"{base}/blobs/")):
                self.answer(200, blob, "application/octet-stream")
            else:
                self.answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"unknown"}]}')

        do_HEAD = do_GET

        def answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            if content_type == MANIFEST:
                self.send_header("Docker-Content-Digest", digest(body))
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="tests"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
