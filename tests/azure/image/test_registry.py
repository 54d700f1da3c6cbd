"""Whether an image can be pulled, asked of a real registry on this machine (Debian's docker-registry)."""

import base64
import hashlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
import requests
from support.registry import private_registry

from snakemake.azure.image.private_registry import PrivateRegistry
from snakemake.azure.image.reference import parse_image_reference
from snakemake.azure.image.registry import RegistryLogin, Verdict, check_pull
from snakemake.azure.preflight.image import check_image
from snakemake.azure.settings import ExecutorSettings, SettingsError

REGISTRY = shutil.which("docker-registry") or shutil.which("registry")
needs_registry = pytest.mark.skipif(
    REGISTRY is None, reason="needs the registry: apt-get install docker-registry"
)

LOGIN = RegistryLogin("user", "secret")
HTPASSWD = "user:$2b$04$yHNJc87g79GZN8LhUWct9.0rlF5Bp6O1CQtj.UOrXKm4QeJYxFuSG\n"  # bcrypt of "secret"


@contextmanager
def registry(folder: Path, auth: dict | None = None) -> Iterator[str]:
    """A registry on a free port, with the blobs in `folder`; yields HOST:PORT."""
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": "127.0.0.1:0", "secret": "x"},
    }
    if auth:
        config["auth"] = auth
    path = folder / "config.yml"  # JSON is YAML
    path.write_text(json.dumps(config))
    process = subprocess.Popen(
        [str(REGISTRY), "serve", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        port = wait_until(lambda: listens_at(process.pid), process)
        wait_until(lambda: answers(port), process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def listens_at(pid: int) -> int | None:
    """The port that a process listens on: its own choice, so that nobody takes it in between."""
    for connection in psutil.Process(pid).net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN:
            return connection.laddr.port
    return None


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/v2/", timeout=2).status_code in (200, 401)
    except requests.ConnectionError:
        return False


def wait_until(condition, process: subprocess.Popen, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, f"the registry ended with {process.returncode}"
        assert time.monotonic() < deadline, "the registry did not answer in time"
        threading.Event().wait(0.05)
    return found


LABELS = {"snakemake-azbatch.version": "1"}


def push(host: str, repository: str, tag: str) -> str:
    """Pushes an image without layers; returns the digest of its manifest."""
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": LABELS},
            "rootfs": {"type": "layers", "diff_ids": []},
        }
    ).encode()
    digest = "sha256:" + hashlib.sha256(config).hexdigest()
    upload = requests.post(f"http://{host}/v2/{repository}/blobs/uploads/", timeout=10)
    target = (
        upload.headers["Location"] + ("&" if "?" in upload.headers["Location"] else "?") + f"digest={digest}"
    )
    requests.put(target, data=config, timeout=10).raise_for_status()
    kind = "application/vnd.oci.image.manifest.v1+json"
    descriptor = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "size": len(config),
        "digest": digest,
    }
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": kind, "config": descriptor, "layers": []}
    ).encode()
    url = f"http://{host}/v2/{repository}/manifests/{tag}"
    requests.put(url, data=manifest, headers={"Content-Type": kind}, timeout=10).raise_for_status()
    return "sha256:" + hashlib.sha256(manifest).hexdigest()


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> tuple[Path, str]:
    """A folder with a registry's data, in which there is `smk/image:1`, and that image's digest."""
    folder = tmp_path_factory.mktemp("registry")
    with registry(folder) as host:
        return folder, push(host, "smk/image", "1")


def pull(host: str, name: str, login: RegistryLogin | None = None):
    return check_pull(parse_image_reference(f"{host}/{name}"), login)


@needs_registry
def test_open_registry(stored):
    folder, digest = stored
    with registry(folder) as host:
        assert pull(host, "smk/image:1").verdict is Verdict.FOUND
        assert pull(host, "smk/image:1").problem is None
        assert pull(host, "smk/image:1").labels == LABELS
        assert pull(host, "smk/image:1").pinned == f"{host}/smk/image@{digest}"
        assert pull(host, f"smk/image@{digest}").verdict is Verdict.FOUND
        missing = pull(host, "smk/image:2")
        assert missing.verdict is Verdict.MISSING
        assert "--container-image" in missing.problem and "smk/image:2" in missing.problem
        assert pull(host, "smk/image").verdict is Verdict.MISSING  # there is no `latest`
        assert pull(host, "smk/other:1").verdict is Verdict.MISSING
        assert pull(host, f"smk/image@sha256:{'0' * 64}").verdict is Verdict.MISSING


@needs_registry
def test_registry_with_passwords(stored, tmp_path):
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "test", "path": str(tmp_path / "htpasswd")}}
    with registry(stored[0], auth) as host:
        denied = pull(host, "smk/image:1")
        assert denied.verdict is Verdict.DENIED and "--container-image" in denied.problem
        assert pull(host, "smk/image:1", LOGIN).verdict is Verdict.FOUND
        assert pull(host, "smk/image:1", LOGIN).labels == LABELS
        assert pull(host, "smk/image:2", LOGIN).verdict is Verdict.MISSING
        wrong = pull(host, "smk/image:1", RegistryLogin("user", "not-the-password"))
        assert wrong.verdict is Verdict.DENIED
        assert "not-the-password" not in repr(wrong) + str(wrong.problem)


def test_password_is_not_printed():
    assert "secret" not in repr(LOGIN)


class TokenServer:
    """Signs tokens as a registry's authorization service does: anonymously for `smk/public`, with LOGIN for all."""

    def __init__(self, folder: Path):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.x509.oid import NameOID

        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "token server")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.bundle = folder / "token.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.x5c = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        self.asked: list[dict] = []

    def token(self, scope: str) -> str:
        import jwt

        kind, name, actions = scope.split(":")
        now = int(time.time())
        claims = {
            "iss": "test",
            "sub": "",
            "aud": "registry",
            "iat": now - 5,
            "nbf": now - 5,
            "exp": now + 300,
            "jti": "1",
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"x5c": [self.x5c]})

    @contextmanager
    def running(self) -> Iterator[str]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                query = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
                given = self.headers.get("Authorization")
                service.asked.append({**query, "authorization": given})
                expected = "Basic " + base64.b64encode(b"user:secret").decode()
                if given not in (None, expected):
                    self.send_error(401)
                    return
                allowed = given == expected or query["scope"].startswith("repository:smk/public:")
                scope = query["scope"] if allowed else "repository:nothing:pull"
                body = json.dumps({"token": service.token(scope)}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/token"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@needs_registry
def test_registry_with_tokens(stored, tmp_path):
    folder, _ = stored
    with registry(folder) as host:
        push(host, "smk/public", "1")
    service = TokenServer(tmp_path)
    with service.running() as realm:
        auth = {
            "realm": realm,
            "service": "registry",
            "issuer": "test",
            "rootcertbundle": str(service.bundle),
        }
        with registry(folder, {"token": auth}) as host:
            assert pull(host, "smk/public:1").verdict is Verdict.FOUND
            assert service.asked[-1] == {
                "service": "registry",
                "scope": "repository:smk/public:pull",
                "authorization": None,
            }
            assert pull(host, "smk/public:2").verdict is Verdict.MISSING
            assert pull(host, "smk/image:1").verdict is Verdict.DENIED
            assert pull(host, "smk/image:1", LOGIN).verdict is Verdict.FOUND
            assert pull(host, "smk/image:1", RegistryLogin("user", "wrong")).verdict is Verdict.DENIED


def test_no_registry_there():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, but not listening
        result = pull(f"127.0.0.1:{held.getsockname()[1]}", "smk/image:1")
    assert result.verdict is Verdict.UNKNOWN and result.problem is None


@contextmanager
def answering(status: int, headers: dict[str, str]) -> Iterator[str]:
    """A server that answers every request alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


DIGEST = "sha256:" + "5" * 64


@pytest.mark.parametrize("said, pinned", [(DIGEST, f"/a/b@{DIGEST}"), ("", None), ("sha256:5; rm", None)])
def test_the_digest_that_a_tag_stands_for(said, pinned):
    """A run takes it in place of the tag: nodes that come later pull the same image."""
    with answering(200, {"Docker-Content-Digest": said} if said else {}) as host:
        found = pull(host, "a/b:1")
        assert found.verdict is Verdict.FOUND and found.pinned == (f"{host}{pinned}" if pinned else None)
        settings = ExecutorSettings(account_url="https://acct.westeurope.batch.azure.com")
        image = f"{host}/a/b:1"
        assert check_image(settings, image, settings.account_url)[0] == (found.pinned or image)
        assert check_image(settings, image, "http://127.0.0.1:10011") == (image, None)
        settings.pool_id = "there"
        assert check_image(settings, image, settings.account_url) == (image, None)


@pytest.mark.parametrize("status", [429, 500, 503, 302])
def test_no_verdict_from_a_registry_in_trouble(status):
    with answering(status, {}) as host:
        assert pull(host, "a/b:1").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("challenge", "verdict"),
    [
        ("", Verdict.DENIED),
        ("Negotiate", Verdict.DENIED),
        ('Bearer service="x"', Verdict.UNKNOWN),
        ('Bearer realm="not a url"', Verdict.UNKNOWN),
        ('Bearer realm="http://127.0.0.1:1/token"', Verdict.UNKNOWN),
    ],
)
def test_challenges_that_cannot_be_answered(challenge, verdict):
    with answering(401, {"WWW-Authenticate": challenge} if challenge else {}) as host:
        assert pull(host, "a/b:1").verdict is verdict


def test_a_login_is_not_sent_in_clear_to_elsewhere(monkeypatch):
    """The realm of a challenge is the registry's word: a password goes there over https only."""
    sent = []
    real = requests.Session.send

    def send(self, request, **kwargs):
        sent.append(request)
        if urlsplit(request.url).hostname == "tokens.example.org":
            raise requests.ConnectionError
        return real(self, request, **kwargs)

    monkeypatch.setattr(requests.Session, "send", send)
    with answering(401, {"WWW-Authenticate": 'Bearer realm="http://tokens.example.org/t"'}) as host:
        assert pull(host, "a/b:1", LOGIN).verdict is Verdict.UNKNOWN
    assert [urlsplit(r.url).hostname for r in sent] == ["127.0.0.1", "tokens.example.org"]
    assert not any("Authorization" in r.headers for r in sent)


def test_the_nodes_login_counts_before_a_run_and_the_image_says_for_which_processors_it_is():
    settings = ExecutorSettings(account_url="https://acct.westeurope.batch.azure.com")
    with private_registry("team/tool", "user", "secret") as host:
        image = f"{host}/team/tool:1"
        found = pull(host, "team/tool:1", LOGIN)
        assert found.verdict is Verdict.FOUND and found.architectures == {"amd64"}
        with pytest.raises(
            SettingsError, match="AZ_BATCH_REGISTRY_PASSWORD, or --az-batch-registry-identity"
        ):
            check_image(settings, image, settings.account_url)
        wrong = PrivateRegistry(host, RegistryLogin("user", "not-the-password"))
        with pytest.raises(SettingsError, match="does not let user pull.*--az-batch-registry-login") as e:
            check_image(settings, image, settings.account_url, registry=wrong)
        assert "not-the-password" not in str(e.value)
        with pytest.raises(SettingsError, match="no Snakemake with Azure Batch in it"):
            check_image(settings, image, settings.account_url, registry=PrivateRegistry(host, LOGIN))
        by_identity = PrivateRegistry(host, identity="/subscriptions/s/robot")
        assert check_image(settings, image, settings.account_url, registry=by_identity)[0] == image
