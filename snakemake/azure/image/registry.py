"""Asks an image's registry whether the image can be pulled, before a pool is made whose nodes would fail to.

Protocol: https://github.com/opencontainers/distribution-spec/blob/main/spec.md (a HEAD request for the manifest);
tokens: https://distribution.github.io/distribution/spec/auth/token/.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from snakemake.azure.image.reference import DOCKER_HUB, OPTION, ImageReference

if TYPE_CHECKING:
    import requests

TIMEOUT = 10.0
"""Seconds to wait for a connection, and between the bytes of an answer."""

# Docker Hub's names and its registry's address differ.
_API_HOSTS = {DOCKER_HUB: "registry-1.docker.io"}
_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


class Verdict(Enum):
    """FOUND and MISSING are certain. DENIED: not for these credentials; many registries answer so, too, for what
    they don't have. UNKNOWN: the registry gave no answer to us; it may to the nodes."""

    FOUND = "found"
    MISSING = "missing"
    DENIED = "denied"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Pull:
    """What the registry said of an image; `detail` is for people and holds no secret, `digest` is that of the manifest
    which the image's tag stands for now, if it said so. `labels` and `history` are those that were written when the
    image was built, and `architectures` those of its variants for Linux, in the registry's words (`amd64`, `arm64`);
    None where they could not be read. `user` is who asked, if somebody was logged in."""

    image: ImageReference
    verdict: Verdict
    detail: str = ""
    digest: str | None = None
    labels: Mapping[str, str] | None = None
    history: Sequence[Mapping[str, Any]] = ()
    architectures: frozenset[str] | None = None
    user: str = ""

    @property
    def pinned(self) -> str | None:
        """The name by which it is this very image for as long as anybody asks, or None where that is not known."""
        if self.digest is None:
            return None
        return str(replace(self.image, tag=None, digest=self.digest))

    @property
    def problem(self) -> str | None:
        """One sentence on why the image cannot be pulled, or None where it can or may be."""
        if self.verdict is Verdict.MISSING:
            return (
                f"The registry {self.image.registry} has no image {self.image} ({self.detail}): push it, or correct "
                f"{OPTION}."
            )
        if self.verdict is Verdict.DENIED:
            if self.user:
                return (
                    f"The registry {self.image.registry} does not let {self.user} pull {self.image}, or does not have "
                    f"it ({self.detail}): check the login of --az-batch-registry-user or --az-batch-registry-login, or "
                    f"correct {OPTION}."
                )
            return (
                f"The registry {self.image.registry} lets nobody pull {self.image} without a password, or does not "
                f"have it ({self.detail}): set AZ_BATCH_REGISTRY_USER and AZ_BATCH_REGISTRY_PASSWORD, or "
                f"--az-batch-registry-identity, or make it public, or correct {OPTION}."
            )
        return None


@dataclass(frozen=True)
class RegistryLogin:
    """User name and password for a registry; the password is never printed."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"RegistryLogin(username={self.username!r})"


def check_pull(image: ImageReference, login: RegistryLogin | None = None, timeout: float = TIMEOUT) -> Pull:
    """Whether `image` can be pulled, anonymously or with `login`. Raises nothing for whatever the registry answers.

    The login is sent over https only, or to this machine.
    """
    import requests

    # Docker, too, speaks plain http to registries on this machine.
    here = _is_loopback(f"//{image.registry}")
    host = _API_HOSTS.get(image.registry, image.registry)
    url = f"{'http' if here else 'https'}://{host}/v2/{image.repository}/manifests/{image.reference}"
    try:
        with requests.Session() as session:
            # Credentials come from the caller alone, never from a .netrc; proxies are for what is elsewhere.
            session.auth = lambda request: request
            session.trust_env = not here
            headers: dict[str, str] = {}
            response = _manifest(session, url, headers, timeout)
            if response.status_code == 401:
                authorization = _authorization(session, response, image, login, timeout)
                if authorization is None:
                    user = login.username if login else ""
                    return Pull(image, Verdict.DENIED, "it asks for a login", user=user)
                headers = {"Authorization": authorization}
                response = _manifest(session, url, headers, timeout)
            pull = replace(_judge(image, response), user=login.username if login else "")
            if pull.verdict is Verdict.FOUND:
                labels, history, architectures = _contents(session, url, headers, timeout)
                return replace(pull, labels=labels, history=history, architectures=architectures)
            return pull
    except (requests.RequestException, ValueError) as e:
        # The text of these can hold a URL with a query; the kind says enough.
        return Pull(image, Verdict.UNKNOWN, f"no answer ({type(e).__name__})")


def _manifest(
    session: "requests.Session", url: str, headers: dict[str, str], timeout: float
) -> "requests.Response":
    headers = {"Accept": _MANIFESTS, **headers}
    response = session.head(url, headers=headers, timeout=timeout, allow_redirects=True)
    if response.status_code == 405:
        response = session.get(url, headers=headers, timeout=timeout)
    return response


def _contents(
    session: "requests.Session", url: str, headers: dict[str, str], timeout: float
) -> tuple[dict[str, str] | None, list[dict[str, Any]], frozenset[str] | None]:
    """Labels, history and architectures of the image: the first two of the variant for amd64 where there are several.
    None, and no history, for what can't be read."""
    import requests

    def fetch(address: str) -> Any:
        response = session.get(address, headers={"Accept": f"{_MANIFESTS}, */*", **headers}, timeout=timeout)
        response.raise_for_status()
        return response.json()

    architectures: frozenset[str] | None = None
    try:
        manifest = fetch(url)
        if variants := _variants(manifest):
            architectures = frozenset(variants)
            chosen = variants.get("amd64") or next(iter(variants.values()))
            manifest = fetch(f"{url.rpartition('/')[0]}/{chosen}")
        configuration = fetch(f"{url.rpartition('/manifests/')[0]}/blobs/{manifest['config']['digest']}")
        if architectures is None and configuration.get("architecture"):
            architectures = frozenset([str(configuration["architecture"])])
        history = [dict(entry) for entry in configuration.get("history") or ()]
        return dict(configuration["config"].get("Labels") or {}), history, architectures
    except (requests.RequestException, ValueError, LookupError, AttributeError, TypeError):
        return None, [], architectures


def _variants(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Digests of an index's manifests for Linux, by architecture; what attests to a build has `unknown` there."""
    found: dict[str, str] = {}
    for choice in manifest.get("manifests") or ():
        platform = choice.get("platform") or {}
        if platform.get("os") == "linux" and platform.get("architecture"):
            found.setdefault(str(platform["architecture"]), str(choice["digest"]))
    return found


def _judge(image: ImageReference, response: "requests.Response") -> Pull:
    status = response.status_code
    detail = f"HTTP {status}"
    if status == 200:
        said = response.headers.get("Docker-Content-Digest", "")
        return Pull(
            image, Verdict.FOUND, detail, said if re.fullmatch(r"sha256:[0-9a-f]{64}", said) else None
        )
    if status == 404:
        return Pull(image, Verdict.MISSING, detail)
    if status in (401, 403):
        return Pull(image, Verdict.DENIED, detail)
    # 429 of a registry that limits anonymous pulls, 5xx, a proxy's own answers: no verdict on the image.
    return Pull(image, Verdict.UNKNOWN, detail)


def _authorization(
    session: "requests.Session",
    response: "requests.Response",
    image: ImageReference,
    login: RegistryLogin | None,
    timeout: float,
) -> str | None:
    """The value of an Authorization header that answers the registry's challenge, or None where there is none."""
    import requests

    scheme, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
    if scheme.lower() == "basic" and login is not None and _may_carry_secrets(response.url):
        return "Basic " + b64encode(f"{login.username}:{login.password}".encode()).decode()
    if scheme.lower() != "bearer":
        return None
    challenge = requests.utils.parse_dict_header(rest)
    realm = challenge.get("realm") or ""
    query = {
        "service": challenge.get("service") or "",
        "scope": challenge.get("scope") or f"repository:{image.repository}:pull",
    }
    auth = (login.username, login.password) if login is not None and _may_carry_secrets(realm) else None
    answer = session.get(realm, params=query, auth=auth, timeout=timeout)
    if answer.status_code in (401, 403):
        return None
    answer.raise_for_status()
    body = answer.json()
    token = (body.get("token") or body.get("access_token")) if isinstance(body, dict) else None
    return f"Bearer {token}" if token else None


def _may_carry_secrets(url: str) -> bool:
    return url.startswith("https://") or _is_loopback(url)


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
