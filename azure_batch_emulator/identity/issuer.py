"""Signed tokens in the form of Entra ID's (version 1.0, RS256).

https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

import base64
import hashlib
import os
import threading
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .directory import TENANT

ISSUER = f"https://sts.windows.net/{TENANT}/"
SKEW = timedelta(minutes=5)  # the tolerance of Microsoft's libraries
_NEEDED = ["aud", "exp", "iat", "iss", "nbf"]


class TokenError(Exception):
    """A token that is not accepted: Azure Resource Manager's code for it, and what is wrong, without the token."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


class Issuer:
    """Issues and checks tokens with a key of its own, made when it is needed first. In the file `kept`, if one is
    given, it outlives the process, so that clients can go on with their tokens."""

    def __init__(self, kept: Path | None = None) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._made: rsa.RSAPrivateKey | None = None

    def issue(
        self, audience: str, claims: Mapping[str, Any], now: datetime, lifetime: timedelta, before: int = 300
    ) -> str:
        """A token for `audience` from now (and `before` seconds earlier) until the end of its lifetime."""
        start = int(now.timestamp())
        payload = {
            "aud": audience,
            "iss": ISSUER,
            "iat": start - before,
            "nbf": start - before,
            "exp": start + int(lifetime.total_seconds()),
            "tid": TENANT,
            "uti": base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
            "ver": "1.0",
        } | dict(claims)
        key = self._key()
        thumbprint = self.key_id()
        return jwt.encode(payload, key, "RS256", {"kid": thumbprint, "x5t": thumbprint})

    def verify(self, token: str, audiences: Iterable[str], now: datetime) -> dict[str, Any]:
        """The claims of a token that this issuer signed for one of the audiences, and that is valid now."""
        try:
            claims = jwt.decode(
                token,
                self._key().public_key(),
                ["RS256"],
                # The library has its own clock; what is left out here is checked below.
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "verify_iss": False,
                    "require": _NEEDED,
                },
            )
        except jwt.InvalidSignatureError:
            raise TokenError(
                "InvalidAuthenticationToken", "The signature of the access token is not valid."
            ) from None
        except jwt.MissingRequiredClaimError as error:
            raise TokenError(
                "InvalidAuthenticationToken", f"The access token has no claim '{error.claim}'."
            ) from None
        except (jwt.InvalidTokenError, UnicodeEncodeError):
            raise TokenError("InvalidAuthenticationToken", "The access token is invalid.") from None
        _check_lifetime(claims, now)
        if claims["iss"] != ISSUER:
            raise TokenError(
                "InvalidAuthenticationTokenTenant",
                f"The access token is from the wrong issuer '{claims['iss']}'. It must match the tenant '{ISSUER}' "
                "of this account.",
            )
        allowed = tuple(audiences)
        if claims["aud"] not in allowed:
            raise TokenError(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained from wrong audience or resource '{claims['aud']}'. It should "
                "exactly match (including forward slash) with one of the allowed audiences "
                + ", ".join(f"'{audience}'" for audience in allowed),
            )
        return claims

    def jwks(self) -> dict[str, Any]:
        """The public key as the key set that discovery documents point to."""
        numbers = self._key().public_key().public_numbers()
        return {
            "keys": [
                {
                    "kty": "RSA",
                    "use": "sig",
                    "alg": "RS256",
                    "kid": self.key_id(),
                    "x5t": self.key_id(),
                    "n": _encode(numbers.n),
                    "e": _encode(numbers.e),
                    "issuer": ISSUER,
                }
            ]
        }

    def key_id(self) -> str:
        der = (
            self._key()
            .public_key()
            .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return base64.urlsafe_b64encode(hashlib.sha256(der).digest()[:20]).decode().rstrip("=")

    def _key(self) -> rsa.RSAPrivateKey:
        with self._lock:
            if self._made is None:
                self._made = self._read() or self._make()
            return self._made

    def _read(self) -> rsa.RSAPrivateKey | None:
        try:
            data = self._kept.read_bytes() if self._kept else b""
            key = serialization.load_pem_private_key(data, None)
        except (OSError, TypeError, ValueError):
            return None  # there is none, or what is there is none: a new one does
        return key if isinstance(key, rsa.RSAPrivateKey) else None

    def _make(self) -> rsa.RSAPrivateKey:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if self._kept:
            pem = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            self._kept.unlink(missing_ok=True)
            with open(os.open(self._kept, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:  # noqa: PTH123
                file.write(pem)
        return key


def _check_lifetime(claims: dict[str, Any], now: datetime) -> None:
    def time(name: str) -> datetime:
        try:
            return datetime.fromtimestamp(int(claims[name]), UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            raise TokenError(
                "InvalidAuthenticationToken", f"The claim '{name}' of the access token is not a time."
            ) from None

    if (end := time("exp")) + SKEW <= now:
        raise TokenError(
            "ExpiredAuthenticationToken",
            f"The access token expiry UTC time '{end:%m/%d/%Y %H:%M:%S}' is earlier than current UTC time "
            f"'{now:%m/%d/%Y %H:%M:%S}'.",
        )
    if (start := time("nbf")) - SKEW > now:
        raise TokenError(
            "InvalidAuthenticationToken",
            f"The access token is not valid before UTC time '{start:%m/%d/%Y %H:%M:%S}'; the current one is "
            f"'{now:%m/%d/%Y %H:%M:%S}'.",
        )


def _encode(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
