"""What stands behind the port: the Batch service, and the services that its clients ask first."""

from starlette.routing import Router
from starlette.types import ASGIApp

from ..engine.engine import Engine
from ..identity.issuer import Issuer
from ..identity.roles import Roles
from .control_routes import ControlRoutes
from .managed_identity import ManagedIdentity
from .management.resource_manager import Management
from .sign_in import SignIn


def all_services(
    batch: ASGIApp, engine: Engine, issuer: Issuer, roles: Roles, control: ControlRoutes, secret: str
) -> ASGIApp:
    """Paths that belong to nobody else are the Batch service's. `secret` is the tenant's, of this start."""
    others = (control, Management(engine, issuer, roles), ManagedIdentity(engine), SignIn(issuer, secret))
    return Router(
        [route for other in others for route in other.routes()], redirect_slashes=False, default=batch
    )
