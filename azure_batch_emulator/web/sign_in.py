"""Entra ID's endpoints: discovery, keys, and tokens for the published application.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import hmac
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..identity import directory
from ..identity.issuer import ISSUER, Issuer
from .auth.shared_key import NOT_YOURS
from .visitors import is_own

LIFETIME = timedelta(seconds=3599)
MAX_FORM = 1 << 16  # bytes; forms are small
SCOPE_SUFFIX = "/.default"
_NO_STORE = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}


class SignInError(Exception):
    """A refusal of the token endpoint: OAuth's error, Entra's number, and a sentence."""

    def __init__(self, error: str, number: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.error, self.number, self.text, self.status = error, number, text, status


class SignIn:
    """The tenant's endpoints. `routes` are below `/{tenant}`, where clients expect them. The published secret counts
    from the emulator's own user only, and `secret` from everybody."""

    def __init__(self, issuer: Issuer, secret: str) -> None:
        self._issuer, self._secret = issuer, secret

    def routes(self) -> list[Route]:
        return [
            Route("/metadata/endpoints", self.endpoints),
            Route("/common/discovery/instance", self.instance),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", self.configuration),
            Route("/{tenant}/.well-known/openid-configuration", self.configuration),
            Route("/{tenant}/discovery/v2.0/keys", self.keys),
            Route("/{tenant}/discovery/keys", self.keys),
            Route("/{tenant}/oauth2/v2.0/token", self.token, methods=["POST"]),
            Route("/{tenant}/oauth2/token", self.token, methods=["POST"]),
        ]

    async def endpoints(self, request: Request) -> Response:
        """What `az cloud register --endpoint-resource-manager` asks for: a cloud of which all is here."""
        base = _base(request)
        authentication = {
            "loginEndpoint": base,
            "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": directory.TENANT,
            "identityProvider": "AAD",
        }
        return JSONResponse(
            {
                "name": "AzureBatchEmulator",
                "resourceManager": base,
                "authentication": authentication,
                "batch": directory.BATCH,
                "graphAudience": "https://graph.microsoft.com/",
                "microsoftGraphResourceId": "https://graph.microsoft.com/",
                "suffixes": {},
            }
        )

    async def instance(self, request: Request) -> Response:
        host = request.url.netloc
        tenant = f"{_base(request)}/{directory.TENANT}"
        return JSONResponse(
            {
                "tenant_discovery_endpoint": f"{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    async def configuration(self, request: Request) -> Response:
        tenant = request.path_params["tenant"]
        if not directory.is_tenant(tenant):
            return _refusal(_no_tenant(tenant))
        base = f"{_base(request)}/{tenant}"
        # An authority called adfs has its endpoints without a version.
        version = "" if tenant.lower() == directory.ADFS else "/v2.0"
        return JSONResponse(
            {
                "issuer": ISSUER,
                "authorization_endpoint": f"{base}/oauth2{version}/authorize",
                "token_endpoint": f"{base}/oauth2{version}/token",
                "jwks_uri": f"{base}/discovery{version}/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                "response_types_supported": ["code", "id_token", "token"],
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid"],
                "claims_supported": ["aud", "iss", "iat", "nbf", "exp", "appid", "oid", "sub", "tid", "ver"],
                "tenant_region_scope": None,
                "cloud_instance_name": request.url.netloc,
            }
        )

    async def keys(self, request: Request) -> Response:
        tenant = request.path_params["tenant"]
        if tenant != "common" and not directory.is_tenant(tenant):
            return _refusal(_no_tenant(tenant))
        return JSONResponse(self._issuer.jwks())

    async def token(self, request: Request) -> Response:
        try:
            form = await _form(request)
            answer = self._grant(
                request.path_params["tenant"], form, datetime.now(UTC), is_own(request.scope)
            )
        except SignInError as error:
            return _refusal(error)
        return JSONResponse(answer, headers=_NO_STORE)

    def _grant(self, tenant: str, form: Mapping[str, str], now: datetime, own: bool) -> dict:
        if not directory.is_tenant(tenant):
            raise _no_tenant(tenant)
        for name in ("grant_type", "client_id", "client_secret"):
            if not form.get(name):
                raise _missing(name)
            if name == "grant_type" and form[name] != "client_credentials":
                raise SignInError(
                    "unsupported_grant_type",
                    70003,
                    "The emulator's tenant has the grant 'client_credentials' alone.",
                )
        if form["client_id"].lower() != directory.CLIENT_ID:
            raise SignInError(
                "unauthorized_client",
                700016,
                f"Application with identifier '{form['client_id'][:40]}' was not found in the directory.",
            )
        given = form["client_secret"].encode()
        if not hmac.compare_digest(given, self._secret.encode()):
            if not hmac.compare_digest(given, directory.CLIENT_SECRET.encode()):
                raise SignInError("invalid_client", 7000215, "Invalid client secret provided.", 401)
            if not own:
                raise SignInError("invalid_client", 7000215, NOT_YOURS, 401)
        resource = _resource(form)
        seconds = int(LIFETIME.total_seconds())
        answer: dict = {
            "token_type": "Bearer",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": self._issuer.issue(resource, _application_claims(), now, LIFETIME),
        }
        if "scope" not in form:
            # The older endpoint counts in strings, and says when.
            start = int(now.timestamp())
            answer |= {
                "expires_in": str(seconds),
                "ext_expires_in": str(seconds),
                "expires_on": str(start + seconds),
                "not_before": str(start - 300),
                "resource": resource,
            }
        return answer


def _application_claims() -> dict[str, str]:
    return {
        "appid": directory.CLIENT_ID,
        "appidacr": "1",
        "idp": ISSUER,
        "idtyp": "app",
        "oid": directory.PRINCIPAL_ID,
        "sub": directory.PRINCIPAL_ID,
    }


def _resource(form: Mapping[str, str]) -> str:
    """The audience that is asked for: `resource`, or `scope`, which is the same with /.default behind it."""
    if not (scope := form.get("scope")):
        if not (resource := form.get("resource")):
            raise _missing("scope")
    else:
        # Libraries add the scopes of OpenID Connect, which mean nothing to an application.
        wanted = [part for part in scope.split() if part not in ("openid", "profile", "offline_access")]
        if len(wanted) != 1 or not wanted[0].endswith(SCOPE_SUFFIX):
            raise SignInError(
                "invalid_scope",
                1002012,
                "The provided value for scope is not valid. Client credential flows must have a scope value with "
                "/.default suffixed to the resource identifier (application ID URI).",
            )
        resource = wanted[0].removesuffix(SCOPE_SUFFIX)
    if not directory.knows_resource(resource):
        raise SignInError(
            "invalid_resource",
            500011,
            f"The resource principal named {resource[:100]} was not found in the tenant.",
        )
    return resource


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        if len(body) <= MAX_FORM:
            body += chunk
    if len(body) > MAX_FORM:
        raise SignInError("invalid_request", 90100, "The request is too large.")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True))
    except ValueError:
        raise SignInError("invalid_request", 90100, "The body is not a form.") from None


def _missing(name: str) -> SignInError:
    return SignInError(
        "invalid_request", 900144, f"The request body must contain the following parameter: '{name}'."
    )


def _no_tenant(name: str) -> SignInError:
    return SignInError(
        "invalid_request",
        90002,
        f"Tenant '{name[:40]}' not found. The emulator's tenant is {directory.TENANT}.",
    )


def _refusal(error: SignInError) -> Response:
    trace, time = str(uuid.uuid4()), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
    body = {
        "error": error.error,
        "error_description": f"AADSTS{error.number}: {error.text} Trace ID: {trace} Timestamp: {time}",
        "error_codes": [error.number],
        "timestamp": time,
        "trace_id": trace,
        "correlation_id": str(uuid.uuid4()),
        "error_uri": f"https://login.microsoftonline.com/error?code={error.number}",
    }
    return JSONResponse(body, error.status, headers=_NO_STORE)


def _base(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"
