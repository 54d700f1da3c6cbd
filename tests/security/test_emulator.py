"""The emulator on a machine with other users, and with a browser: each an attack that fails."""

import http.client
import json
import os
import re
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlencode, urlsplit

import pytest
from emulator.raw import signature
from support.emulator import running_emulator, wait_until
from support.neighbours import NOBODY, as_nobody, needs_root

from azure_batch_emulator import DEV_ACCOUNT, DEV_KEY
from azure_batch_emulator.host import peers
from azure_batch_emulator.identity import directory

PATH = "/pools?api-version=2025-06-01"


def signed(url, method="GET", path=PATH, key=DEV_KEY, **headers):
    given = {"ocp-date": format_datetime(datetime.now(UTC), usegmt=True)}
    authorization = signature(key, DEV_ACCOUNT, method, url + path, given, "")
    return given | {"Authorization": f"SharedKey {DEV_ACCOUNT}:{authorization}"} | headers


def ask(url, method="GET", path=PATH, headers=None, body=None):
    """(status, body) of one request."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request(method, path, body, signed(url, method, path) if headers is None else headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def sign_in(url, secret):
    form = urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": directory.CLIENT_ID,
            "client_secret": secret,
            "scope": f"{directory.BATCH}/.default",
        }
    )
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return ask(url, "POST", f"/{directory.TENANT}/oauth2/v2.0/token", kind, form)


def printed_environment(location, url):
    port = str(urlsplit(url).port)
    command = [
        sys.executable,
        "-m",
        "azure_batch_emulator",
        "env",
        "--port",
        port,
        "--location",
        str(location),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(re.findall(r"export (\w+)=(\S+)", done.stdout))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    location = tmp_path_factory.mktemp("location") / "made"
    with running_emulator(location=location) as emulator:
        yield emulator, location


def test_the_same_user_needs_no_configuration(running):
    emulator, _ = running
    assert ask(emulator.url)[0] == 200
    assert sign_in(emulator.url, directory.CLIENT_SECRET)[0] == 200
    assert list(emulator.client().list_pools()) == []


@needs_root
class TestAnotherUser:
    def test_gets_nothing_for_the_published_key(self, running):
        emulator, _ = running
        status, body = as_nobody(ask, emulator.url)
        assert status == 403 and json.loads(body)["code"] == "AuthenticationFailed"
        assert "--accept-published-key" in body and "env --location" in body

    def test_gets_no_token_for_the_published_secret(self, running):
        emulator, _ = running
        status, body = as_nobody(sign_in, emulator.url, directory.CLIENT_SECRET)
        assert status == 401 and "access_token" not in body and "--accept-published-key" in body

    def test_cannot_plan_faults(self, running):
        emulator, _ = running
        headers = signed(emulator.url, path="/-/faults")
        assert as_nobody(ask, emulator.url, "GET", "/-/faults", headers)[0] == 403

    def test_cannot_pass_for_root_by_closing_the_socket(self, running):
        """A socket that its process has closed is in the system's table as one of root's."""
        emulator, _ = running

        def attack():
            host, port = urlsplit(emulator.url).hostname, urlsplit(emulator.url).port
            body = json.dumps({"id": "planted", "poolInfo": {"poolId": "x"}}).encode()
            path = "/jobs?api-version=2025-06-01"
            given = {"ocp-date": format_datetime(datetime.now(UTC), usegmt=True)}
            given["Content-Type"] = "application/json; odata=minimalmetadata"
            made = signature(DEV_KEY, DEV_ACCOUNT, "POST", emulator.url + path, given, str(len(body)))
            given |= {"Host": f"{host}:{port}", "Content-Length": str(len(body))}
            given["Authorization"] = f"SharedKey {DEV_ACCOUNT}:{made}"
            head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in given.items()) + "\r\n"
            for _ in range(50):
                with socket.create_connection((host, port)) as raw:
                    raw.sendall(head.encode() + body)

        as_nobody(attack)
        assert ask(emulator.url)[0] == 200  # all before has been answered by now, or will be refused alike
        assert [job.id for job in emulator.client().list_jobs()] == []

    def test_cannot_read_the_key_nor_anything_else_of_the_location(self, running):
        _, location = running

        def look(path):
            try:
                return [str(each) for each in path.iterdir()]
            except PermissionError:
                return "refused"

        location.parent.chmod(0o755)
        assert as_nobody(look, location) == "refused"

    def test_is_let_in_with_the_key_of_this_start(self, running):
        """By whom the owner gives it to."""
        emulator, location = running
        key = printed_environment(location, emulator.url)["AZ_BATCH_ACCOUNT_KEY"].strip("'")
        assert key != DEV_KEY
        assert as_nobody(ask, emulator.url, "GET", PATH, signed(emulator.url, key=key))[0] == 200
        assert as_nobody(sign_in, emulator.url, key)[0] == 200

    def test_is_let_in_where_the_owner_wants_it(self):
        with running_emulator(accept_published_key=True) as emulator:
            assert as_nobody(ask, emulator.url)[0] == 200

    def test_cannot_hand_over_a_directory(self, tmp_path):
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        os.chown(theirs, NOBODY, NOBODY)
        done = subprocess.run(
            [sys.executable, "-m", "azure_batch_emulator", "start", "--port", "0", "--location", str(theirs)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (
            done.returncode == 1 and "belongs to another user" in done.stderr and not list(theirs.iterdir())
        )


def test_what_is_kept_is_for_its_owner_alone(running):
    emulator, location = running
    assert stat.S_IMODE(location.stat().st_mode) == 0o700
    wait_until(lambda: (location / "account-key").exists())
    for name in ("account-key", "state", "signing-key.pem"):
        if (location / name).exists():
            assert stat.S_IMODE((location / name).stat().st_mode) == 0o600, name


def test_each_start_has_a_key_of_its_own(tmp_path):
    keys = set()
    for _ in range(2):
        with running_emulator(location=tmp_path / "kept"):
            keys.add((tmp_path / "kept" / "account-key").read_text())
    assert len(keys) == 2 and DEV_KEY not in keys


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example.org:10011"},
        {"Host": "127.0.0.1.attacker.example.org"},
        {"Host": "localhost.attacker.example.org"},
        {"Host": "attacker.example.org@127.0.0.1.x"},
        {"Host": "192.0.2.7"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Origin": "http://attacker.example.org"},
        {"Origin": "null"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", [PATH, "/metadata/endpoints", "/-/faults", "/msi/token"])
def test_a_page_from_elsewhere_is_refused_by_its_name(running, headers, path):
    """DNS rebinding: the browser of the very same user, led to this machine under the name of the page's host."""
    emulator, _ = running
    status, body = ask(emulator.url, "GET", path, signed(emulator.url, path=path, **headers))
    name = next(iter(headers))
    assert status == 421 and f"The {name} header" in body and "attacker" not in body


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "devbatch.localhost", "127.0.0.1", "127.1.2.3", "[::1]:5"]
)
def test_names_of_this_machine_are_let_in(running, host):
    emulator, _ = running
    assert ask(emulator.url, "GET", PATH, signed(emulator.url, Host=host))[0] == 200
    assert ask(emulator.url, "GET", PATH, signed(emulator.url, Origin=f"http://{host}"))[0] == 200


@needs_root
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_whose_connection_it_is(address):
    """By the system's own table, for both kinds of address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(socket.AF_INET if "." in address else family) as listener:
        listener.bind((address.removeprefix("::ffff:"), 0))
        listener.listen()
        port = listener.getsockname()[1]

        def connect():
            raw = socket.socket(family)
            raw.connect((address, port))
            return raw

        for theirs in (False, True):
            raw = None
            if theirs:
                pid = os.fork()
                if pid == 0:
                    os.setuid(NOBODY)
                    connect().recv(1)
                    os._exit(0)
            else:
                raw = connect()
            accepted, client = listener.accept()
            server = accepted.getsockname()[:2]
            assert peers.is_own(client[:2], server) is not theirs
            accepted.close()
            if theirs:
                os.waitpid(pid, 0)
            else:
                raw.close()
                assert not peers.is_own(client[:2], server)


def test_other_machines_are_none_of_ours():
    assert not peers.is_own(("192.0.2.1", 5), ("192.0.2.9", 10011))
