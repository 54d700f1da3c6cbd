"""The certificate that the emulator serves https with: two PEM files of the user's.

`mkcert 127.0.0.1 localhost` or `openssl req -x509` make them; see docs/emulator/access.md.
"""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import certifi
from cryptography import x509

Address = IPv4Address | IPv6Address


class CertificateError(ValueError):
    """A certificate or key that can't be served with; the message says which option and why."""


@dataclass(frozen=True)
class Certificate:
    """The paths of a certificate (with its chain, if it has one), of its private key, and of the authority that signed
    it, which the tasks are told to trust."""

    cert: Path
    key: Path
    ca: Path | None = None

    def check(self, now: datetime, addresses: Iterable[Address]) -> None:
        """Raises CertificateError unless the two belong together, are valid now, and are for the addresses."""
        text = {}
        for option, path in (("--cert", self.cert), ("--key", self.key)):
            try:
                text[option] = path.read_bytes()
            except OSError as error:
                raise CertificateError(
                    f"The file {path} of {option} can't be read ({error.strerror})."
                ) from None
        if self.ca is not None:
            _check_authority(self.ca)
        try:
            leaf = x509.load_pem_x509_certificate(text["--cert"])
        except ValueError:
            raise CertificateError(
                f"The file {self.cert} of --cert holds no certificate in PEM format."
            ) from None
        if b"PRIVATE KEY-----" not in text["--key"]:
            raise CertificateError(f"The file {self.key} of --key holds no private key in PEM format.")
        try:
            self.context()
        except (ssl.SSLError, OSError, ValueError) as error:
            reason = (
                "it needs a password" if isinstance(error, _NeedsPassword) else "the key is another one's"
            )
            raise CertificateError(
                f"The certificate of --cert {self.cert} and the key of --key {self.key} can't be used together: "
                f"{reason}."
            ) from None
        if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
            raise CertificateError(
                f"The certificate of --cert {self.cert} is valid from {leaf.not_valid_before_utc:%Y-%m-%d} to "
                f"{leaf.not_valid_after_utc:%Y-%m-%d} only: make a new one."
            )
        wanted = sorted(map(str, set(addresses)))
        if missing := [address for address in wanted if address not in map(str, _addresses(leaf))]:
            raise CertificateError(
                f"The certificate of --cert {self.cert} is not for {missing[0]}, so that no client would accept it: "
                f"make one that names this address (mkcert {' '.join(wanted)} localhost)."
            )

    def bundle(self) -> bytes | None:
        """The usual authorities and the one of `ca`, or the certificate itself if nobody else signed it; None where it
        is not known who did."""
        authority = self.ca
        if authority is None:
            leaf = x509.load_pem_x509_certificate(self.cert.read_bytes())
            authority = self.cert if leaf.issuer == leaf.subject else None
        if authority is None:
            return None
        return certifi.contents().encode() + b"\n" + authority.read_bytes()

    def context(self) -> ssl.SSLContext:
        """What a server needs; fails where the key does not fit or has a password."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key, password=_no_password)
        return context

    def trust(self) -> ssl.SSLContext:
        """What the nodes' own transfers need: the usual authorities, and this certificate whoever signed it."""
        context = ssl.create_default_context()
        context.load_verify_locations(self.cert)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def _check_authority(path: Path) -> None:
    try:
        x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise CertificateError(f"The file {path} of --ca can't be read ({error.strerror}).") from None
    except ValueError:
        raise CertificateError(f"The file {path} of --ca holds no certificate in PEM format.") from None


class _NeedsPassword(ValueError):
    pass


def _no_password() -> str:
    # Without this, OpenSSL would ask for it on the terminal.
    raise _NeedsPassword


def _addresses(leaf: x509.Certificate) -> list:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.IPAddress)
