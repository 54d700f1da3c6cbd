"""A registry on this machine that anybody may read, with images of nothing but labels.

https://distribution.github.io/distribution/spec/api/
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@contextmanager
def registry_of(images: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Serves repositories, each with the labels of its image, which has any tag; yields the host and port."""
    contents: dict[str, tuple[bytes, str]] = {}
    for repository, labels in images.items():
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Labels": labels}}).encode()
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"digest": digest, "size": len(config)},
        }
        contents[f"/v2/{repository}/blobs/{digest}"] = config, "application/octet-stream"
        contents[f"/v2/{repository}/manifests"] = json.dumps(manifest).encode(), MANIFEST

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.rpartition("/")[0] if "/manifests/" in self.path else self.path
            body, kind = contents.get(path, (b"{}", "application/json"))
            self.send_response(200 if path in contents else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
