"""What stands behind the port: the Batch service, and the services that its clients ask first."""

from starlette.routing import Router
from starlette.types import ASGIApp

from .control import ControlRoutes
from .management import Management
from .sign_in import SignIn


def front(batch: ASGIApp, management: Management, sign_in: SignIn, control: ControlRoutes) -> ASGIApp:
    """Paths that belong to nobody else are the Batch service's."""
    return Router(
        [*control.routes(), *management.routes(), *sign_in.routes()], redirect_slashes=False, default=batch
    )
