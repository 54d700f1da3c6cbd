"""What stands behind the port: the Batch service, and the services that its clients ask first."""

from starlette.routing import Router
from starlette.types import ASGIApp

from ..identity.issuer import Issuer
from .sign_in import SignIn


def front(batch: ASGIApp, issuer: Issuer) -> ASGIApp:
    """Paths that belong to nobody else are the Batch service's."""
    return Router(SignIn(issuer).routes(), redirect_slashes=False, default=batch)
