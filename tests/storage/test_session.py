"""The HTTP of blob storage against real servers: what is sent, by which way, and what its failures are called."""

import os
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import requests
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import HttpRequest, RequestsTransport
from support.listening import Answer, forwarding, listening

from snakemake.azure.blob.account import AZURITE_KEY, BlobAccount, BlobAccountError
from snakemake.azure.blob.errors import BlobError
from snakemake.azure.blob.session import Session
from snakemake.azure.blob.store import BlobStore

PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
BUNDLES = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}


@pytest.fixture(autouse=True)
def no_proxies_of_the_user(monkeypatch):
    for name in [n for n in os.environ if n.lower() in PROXIES]:
        monkeypatch.delenv(name)


def send(url: str, method: str = "GET", **given) -> requests.Response:
    """As the SDK's transport calls it."""
    options = {"headers": {}, "data": None, "files": None, "allow_redirects": False} | given
    with Session(url, 1) as session:
        return session.request(method, url, timeout=(5, 5), **options)


def there_and_back(store: BlobStore, box: str, tmp_path, size: int = 2_000_000) -> None:
    (tmp_path / "in").write_bytes(os.urandom(size))
    store.upload(box, "a b/ü", tmp_path / "in")
    store.fetch(box, "a b/ü", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()


class TestWhatIsSent:
    @pytest.mark.parametrize(
        "target",
        [
            *["/c/a/../b", "/c/./a", "/c/%2e%2E/x", "/c//x", "/c/~user", "/c/a%20b%23%3F%25", "/c/%C3%BC"],
            *[
                "/c/x?a=b%2Bc%2F%3D&d=%2b",
                "/c/x?a=b/c:d",
                "/c/a;b=c,d",
                "/c/x?restype=container&comp=list&prefix=",
            ],
        ],
    )
    def test_the_url_as_it_is(self, target):
        with listening() as server:
            send(f"{server.url}{target}")
        # Bytes may be written %2b or %2B; what they are stays.
        assert [upper(a.target) for a in server.seen] == [upper(target)]

    @pytest.mark.parametrize("data", [None, b""])
    @pytest.mark.parametrize("method", ["PUT", "POST"])
    def test_no_body_has_a_length(self, method, data):
        """Without one Azure answers 411."""
        with listening() as server:
            send(f"{server.url}/x", method, data=data)
        assert [a.headers.get_all("Content-Length") for a in server.seen] == [["0"]]

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
    def test_a_question_has_no_length(self, method):
        with listening() as server:
            send(f"{server.url}/x", method)
        assert [a.headers.get_all("Content-Length") in (None, ["0"]) for a in server.seen] == [True]
        assert server.seen[0].body == b""

    def test_bytes_and_files_with_their_length(self, tmp_path):
        (tmp_path / "x").write_bytes(b"12345")
        with listening() as server, (tmp_path / "x").open("rb") as file:
            send(f"{server.url}/x", "PUT", data=b"123")
            send(f"{server.url}/x", "PUT", data=file, headers={"content-length": "5"})
        assert [a.body for a in server.seen] == [b"123", b"12345"]
        assert [a.headers.get_all("Content-Length") for a in server.seen] == [["3"], ["5"]]
        assert not any("Transfer-Encoding" in a.headers for a in server.seen)

    def test_a_body_without_a_length_in_chunks(self):
        with listening() as server:
            send(f"{server.url}/x", "PUT", data=iter([b"12", b"345"]))
        assert server.seen[0].headers["Transfer-Encoding"] == "chunked"
        assert "Content-Length" not in server.seen[0].headers
        assert server.seen[0].body == b"12345"

    def test_headers_as_given_and_no_wish_for_compression(self):
        with listening() as server:
            send(f"{server.url}/x", headers={"Authorization": "SharedKey a:b"})
        arrived = server.seen[0].headers
        assert arrived["Authorization"] == "SharedKey a:b"
        assert arrived.get_all("Accept-Encoding") == ["identity"]

    def test_no_login_from_netrc_and_no_cookies(self, tmp_path, monkeypatch):
        """`requests` would put the login of a ~/.netrc in place of the SDK's."""
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        with (
            listening(lambda _: Answer(headers={"Set-Cookie": "a=b"})) as server,
            Session(server.url, 1) as one,
        ):
            for _ in range(2):
                nothing = {"data": None, "files": None, "allow_redirects": False}
                one.request("GET", f"{server.url}/x", headers={"Authorization": "mine"}, **nothing)
        assert [a.headers["Authorization"] for a in server.seen] == ["mine"] * 2
        assert not any("Cookie" in a.headers for a in server.seen)

    def test_redirects_are_left_to_the_sdk(self):
        with listening(lambda a: Answer(302, headers={"Location": "/elsewhere"})) as server:
            response = send(f"{server.url}/x")
        assert response.status_code == 302
        assert [a.target for a in server.seen] == ["/x"]

    def test_forms_are_refused(self):
        with pytest.raises(NotImplementedError):
            send("http://127.0.0.1:1/x", "POST", files={"a": b"1"})


def upper(target: str) -> str:
    return re.sub("%..", lambda found: found[0].upper(), target)


class TestAtAzurite:
    @pytest.mark.parametrize(
        "name", ["~a", "%2e%2e", "a%2Fb", "ünï/日本", "a+b c", "it's (1)!*", "x;y,z=1&?#"]
    )
    @pytest.mark.parametrize("kind", ["key", "sas"])
    def test_names_and_signatures(self, azurite, container, kind, name, tmp_path):
        """A signature with the key is for the path as the service gets it."""
        given = {"account_url": azurite.sas_url()}
        if kind == "key":
            given = {"account_url": azurite.url, "account_key": azurite.key}
        store = BlobStore(BlobAccount.resolve(environ={}, **given))
        (tmp_path / "x").write_text(name)
        store.upload(container.container_name, name, tmp_path / "x")
        store.fetch(container.container_name, name, tmp_path / "y")
        assert (tmp_path / "y").read_text() == name
        assert [b.name for b in container.list_blobs()] == [name]

    @pytest.mark.parametrize("written", [str, lambda sas: re.sub("%..", lambda m: m[0].lower(), sas)])
    def test_a_sas_with_encoded_characters(self, azurite, container, tmp_path, written):
        from datetime import timedelta

        signed = (azurite.sas(expiry=timedelta(hours=2, seconds=n)) for n in range(1000))
        sas = next(s for s in signed if re.search("sig=.*%2B", s) and re.search("sig=.*/", s))
        store = BlobStore(BlobAccount.resolve(account_url=f"{azurite.url}?{written(sas)}", environ={}))
        there_and_back(store, container.container_name, tmp_path)

    def test_by_https_with_an_authority_of_the_environment(self, secure, tmp_path, monkeypatch):
        url = secure.blob_url.partition("?")[0]
        account = BlobAccount.resolve(account_url=url, account_key=AZURITE_KEY, environ={})
        there_and_back(BlobStore(account), "by-https", tmp_path)
        bundle = os.environ["REQUESTS_CA_BUNDLE"]
        for name in BUNDLES:
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(BlobError, match=r"certificate of https://127.0.0.1:\d+/.* REQUESTS_CA_BUNDLE"):
            BlobStore(account, patience=0).head("by-https", "x")
        monkeypatch.setenv("CURL_CA_BUNDLE", bundle)
        assert BlobStore(account).head("by-https", "a b/ü")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "not-there"))
        with pytest.raises(BlobAccountError, match=r"^REQUESTS_CA_BUNDLE is .*/not-there, .* not there"):
            BlobStore(account).head("by-https", "x")


class TestProxies:
    @pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
    def test_all_goes_by_the_proxy_of_the_environment(
        self, azurite, account, container, tmp_path, monkeypatch, variable
    ):
        with forwarding() as proxy:
            monkeypatch.setenv(variable, proxy.url.replace("://", "://me:secret@"))
            there_and_back(BlobStore(account), container.container_name, tmp_path)
        assert len(proxy.seen) == 3  # up in one request, down in two
        assert all(a.target.startswith(f"{azurite.url}/") for a in proxy.seen)
        assert all(a.headers["Proxy-Authorization"].startswith("Basic ") for a in proxy.seen)

    def test_a_signature_with_the_key_stays_valid(self, azurite, container, tmp_path, monkeypatch):
        account = BlobAccount.resolve(account_url=azurite.url, account_key=azurite.key, environ={})
        with forwarding() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            there_and_back(BlobStore(account), container.container_name, tmp_path)
        assert proxy.seen

    @pytest.mark.parametrize("bypass", ["127.0.0.1", "*", "example.org,127.0.0.1"])
    def test_no_proxy(self, account, container, tmp_path, monkeypatch, bypass):
        with listening(lambda _: Answer(502)) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", bypass)
            there_and_back(BlobStore(account), container.container_name, tmp_path)
        assert not proxy.seen

    def test_https_through_a_tunnel(self, secure, tmp_path, monkeypatch):
        url = secure.blob_url.partition("?")[0]
        account = BlobAccount.resolve(account_url=url, account_key=AZURITE_KEY, environ={})
        with forwarding() as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            store = BlobStore(account)
            there_and_back(store, "by-tunnel", tmp_path)
            store.service.close()
        # One connection was enough for all of it, the second for what was asked at once.
        assert {a.method for a in proxy.seen} == {"CONNECT"}
        assert {a.target for a in proxy.seen} == {url.split("/")[2]}

    def test_one_that_cannot_be_reached_is_named_and_its_password_is_not(self, account, monkeypatch):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))  # bound, but not listening
            address = f"127.0.0.1:{held.getsockname()[1]}"
            monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@{address}")
            with pytest.raises(BlobError, match="^az://box/x: the proxy .*HTTP_PROXY") as error:
                BlobStore(account, patience=0).head("box", "x")
        assert "secret" not in str(error.value)


@contextmanager
def hanging_up(after: bytes, reset: bool) -> Iterator[str]:
    """A server that reads a request, answers with `after`, and ends the connection, by a reset or in good order."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(after)
                    if reset:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@contextmanager
def bound_only() -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def nowhere() -> Iterator[str]:
    yield "http://no-such-host.invalid"


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234"
# Who fails, and what a question is told then, the last when it is the answer's body that is waited for.
FAILURES: dict[str, tuple[Callable[[], AbstractContextManager[str]], *tuple[str, ...]]] = {
    "refused": (bound_only, "ServiceRequestError"),
    "no such host": (nowhere, "ServiceRequestError"),
    "no answer in time": (silent, "ServiceResponseTimeoutError"),
    "reset": (lambda: hanging_up(b"", reset=True), "ServiceResponseError"),
    "closed": (lambda: hanging_up(b"", reset=False), "ServiceResponseError"),
    "no HTTP": (lambda: hanging_up(b"what?\r\n\r\n", reset=False), "ServiceResponseError"),
    "half an answer": (lambda: hanging_up(HALF, reset=False), "IncompleteReadError", "ServiceResponseError"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("failure", FAILURES)
def test_failures_are_called_as_without_a_session_of_our_own(failure, stream):
    """What is waited out, and for how long, goes by these names."""
    server, *expected = FAILURES[failure]

    def name(session: requests.Session | None) -> str:
        transport = RequestsTransport(session=session, connection_timeout=5, read_timeout=0.2)
        with transport, pytest.raises(AzureError) as error:
            response = transport.send(HttpRequest("GET", f"{url}/x"), stream=stream)
            b"".join(response.stream_download(None, decompress=False))
        return type(error.value).__name__

    with server() as url:
        assert name(Session(url, 1)) == name(None) == expected[stream and len(expected) > 1]
