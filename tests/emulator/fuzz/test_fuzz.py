"""Thousands of odd requests: whatever is sent, the service answers at once and in its own way, and what it refuses
changes nothing.

`make fuzz` sends many times as many, other ones on each run.
"""

import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import many

from .neighbours import neighbours, wrong_with
from .requests import requests
from .service import Request, Service, is_an_answer_of_the_service


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("nodes"))
    service.start()
    yield service
    service.stop()


@many(40)
@given(st.lists(requests(), min_size=40, max_size=60))
def test_odd_requests(service, wanted):
    send_all(service, wanted, is_an_answer_of_the_service)


@many(25)
@given(st.lists(neighbours(), min_size=40, max_size=60))
def test_odd_requests_to_the_neighbours(service, wanted):
    """Resource Manager, sign-in, managed identities and control."""
    send_all(service, wanted, wrong_with)


def send_all(service, wanted, fault_of) -> None:
    service.refresh()
    for request in wanted:
        request = service.filled_in(request)
        wrong = fault_of(request, service.send(request))
        assert wrong is None, f"{request}: {wrong}"


NO_HTTP = {
    "words": b"hello there\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no length": b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a bad chunk": b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a NUL": b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    "a long header": b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "half a body": b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    "bytes in the path": b"GET /jobs/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another version": b"GET /jobs HTTP/9.9\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("raw", NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_http(service, raw):
    """It is refused or dropped, and the next request is served."""
    service.refresh()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        # The service may hang up before all of it is sent.
        with contextlib.suppress(OSError):
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                answer += chunk
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert service.send(Request("GET", "/jobs?api-version=2025-06-01")).status == 200
