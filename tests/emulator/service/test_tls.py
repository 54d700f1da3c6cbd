"""https: which certificates the command takes, and what it says of the others."""

import datetime
import ssl
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import requests
import trustme
from support.certificates import issue

from azure_batch_emulator.host.certificate import Certificate

from .test_command import COMMAND, refusal

UTC = datetime.UTC


def start_refused(cert, key, *more):
    message = refusal("--port", "0", "--cert", str(cert), "--key", str(key), *more)
    assert "--cert" in message or "--key" in message
    return message


def test_one_file_without_the_other(pem):
    assert "both --cert and --key" in refusal("--port", "0", "--cert", str(pem.cert))
    assert "both --cert and --key" in refusal("--port", "0", "--key", str(pem.key))


def test_authorities_that_can_not_be_used(pem, tmp_path):
    assert "--cert and --key" in refusal("--port", "0", "--ca", str(pem.ca))
    for path, said in ((tmp_path / "none", "No such file"), (pem.key, "no certificate")):
        given = ("--cert", str(pem.cert), "--key", str(pem.key), "--ca", str(path))
        message = refusal("--port", "0", *given)
        assert said in message and "--ca" in message


def test_what_tasks_are_told_to_trust(pem, tmp_path):
    """The authority that is given, or a certificate that signed itself; without knowing, nothing."""
    assert Certificate(pem.cert, pem.key).bundle() is None
    assert pem.ca.read_bytes() in Certificate(pem.cert, pem.key, pem.ca).bundle()
    own, key = tmp_path / "own.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", own]
    subprocess.run([*command, *names], check=True, capture_output=True)
    assert own.read_bytes() in Certificate(own, key).bundle()


def test_files_that_can_not_be_used(pem, tmp_path):
    assert "No such file" in start_refused(tmp_path / "none", pem.key)
    assert "No such file" in start_refused(pem.cert, tmp_path / "none")
    assert "no certificate" in start_refused(pem.key, pem.key)
    assert "no private key" in start_refused(pem.cert, pem.cert)
    (tmp_path / "other").mkdir()
    other = issue(tmp_path / "other", "127.0.0.1")
    assert "another one's" in start_refused(pem.cert, other.key)
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", pem.key, "-aes256", "-passout", "pass:secret", "-out", locked], check=True
    )
    assert "password" in start_refused(pem.cert, locked)


def test_a_certificate_for_another_address_or_time(tmp_path):
    other = issue(tmp_path, "localhost", "example.org")
    assert "127.0.0.1" in start_refused(other.cert, other.key)
    old = issue(tmp_path, "127.0.0.1", not_after=datetime.datetime(2020, 1, 1, tzinfo=UTC))
    assert "2020-01-01" in start_refused(old.cert, old.key)


def test_the_certificate_is_for_the_address_that_is_listened_on(tmp_path):
    """And for that of Azurite, if there is one, which is always on 127.0.0.1."""
    for folder in ("usual", "other"):
        (tmp_path / folder).mkdir()
    usual, other = issue(tmp_path / "usual", "127.0.0.1"), issue(tmp_path / "other", "127.0.0.2")
    assert "127.0.0.2" in start_refused(usual.cert, usual.key, "--host", "127.0.0.2")
    blobs = start_refused(other.cert, other.key, "--host", "127.0.0.2", "--blob-port", "0")
    assert "is not for 127.0.0.1" in blobs and "mkcert 127.0.0.1 127.0.0.2 localhost" in blobs
    options = ["--port", "0", "--host", "127.0.0.2", "--runner", "none"]
    command = [*COMMAND, "start", *options, "--cert", str(other.cert), "--key", str(other.key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        ready = process.stdout.readline()
        process.terminate()
        assert "ready at https://127.0.0.2:" in ready


def test_the_settings_for_clients_of_https(secure, pem):
    """Exactly what the command prints makes the default credential work, in a process of its own."""
    port, blob_port = (str(urlsplit(url).port) for url in (secure.url, secure.blob_url))
    lines = subprocess.run(
        [*COMMAND, "env", "--port", port, "--blob-port", blob_port, "--ca", pem.ca],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    code = (
        "import os; from azure.identity import DefaultAzureCredential; from azure.batch import BatchClient;"
        "print(list(BatchClient(os.environ['AZ_BATCH_ACCOUNT_URL'], DefaultAzureCredential()).list_pools()));"
        "from azure.storage.blob import ContainerClient as C;"
        "print(C.from_container_url(os.environ['AZ_BLOB_ACCOUNT_URL'].replace('?', '/none?')).exists())"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", f'{lines}exec "$0" -c "$1"', sys.executable, code],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "[]\nFalse\n", done.stderr


def test_http_is_not_served_beside_it(secure, pem, monkeypatch):
    assert requests.get(f"{secure.url}/pools", verify=pem.ca, timeout=30).status_code == 401
    with pytest.raises(requests.ConnectionError):
        requests.get(secure.url.replace("https", "http"), timeout=30)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{secure.url}/pools", timeout=30)


def test_nodes_trust_the_certificate_whoever_signed_it(pem, tmp_path):
    """In memory: a server with the certificate, and a client that has never heard of the authority."""

    def shakes_hands(trust):
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = Certificate(pem.cert, pem.key).context().wrap_bio(to_server, to_client, server_side=True)
        client = trust.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
        for _ in range(4):
            for side in (client, server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        return client.version()

    assert shakes_hands(Certificate(pem.cert, pem.key).trust()).startswith("TLS")
    another = issue(tmp_path, "127.0.0.1", ca=trustme.CA())
    with pytest.raises(ssl.SSLCertVerificationError):
        shakes_hands(Certificate(another.cert, another.key).trust())
