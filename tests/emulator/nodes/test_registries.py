"""Logins at registries by a pool's identity: the exchange that Azure Container Registry has, over HTTP."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt

from azure_batch_emulator.identity.issuer import Issuer
from azure_batch_emulator.nodes.access import NodeAccess
from azure_batch_emulator.nodes.registries import RESOURCE, USER, with_logins

from ..management.test_management import IDENTITY

LOGIN = {"registryServer": "r.example", "username": "me", "password": "secret"}


@contextmanager
def exchange(opens):
    """A registry that gives its refresh token to the identities that `opens` names; yields its host, and the forms."""
    forms = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            claims = jwt.decode(form["access_token"][0], options={"verify_signature": False})
            forms.append((self.path, form["service"][0], claims["aud"]))
            good = claims["xms_mirid"] in opens
            self.send_response(200 if good else 401)
            self.end_headers()
            self.wfile.write(json.dumps({"refresh_token": "a-refresh-token"} if good else {}).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", forms
        server.shutdown()


def opened(host):
    by_identity = {"registryServer": host, "identityReference": {"resourceId": IDENTITY}}
    return with_logins([LOGIN, by_identity], NodeAccess(Issuer()))


def test_an_identity_that_may_pull_gets_the_registrys_token():
    with exchange({IDENTITY}) as (host, forms):
        assert opened(host) == (
            LOGIN,
            {"registryServer": host, "username": USER, "password": "a-refresh-token"},
        )
    assert forms == [("/oauth2/exchange", host, RESOURCE)]


def test_one_that_may_not_and_a_registry_without_an_exchange_leave_the_pull_without_a_login():
    with exchange(set()) as (host, _):
        assert opened(host)[1] == {"registryServer": host}
    assert opened(host)[1] == {"registryServer": host}, "it is gone"
