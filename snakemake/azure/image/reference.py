"""Reads the name of a container image as Docker does, so that a slip is found before a pool is made with it.

The grammar is that of https://pkg.go.dev/github.com/distribution/reference; a name without a registry is one
of Docker Hub (https://docs.docker.com/reference/cli/docker/image/tag/).
"""

import re
from dataclasses import dataclass

from snakemake_interface_common.exceptions import WorkflowError

OPTION = "--container-image"
DOCKER_HUB = "docker.io"
NAME_LENGTH = 255  # of registry and repository together, as in the grammar's NameTotalLengthMax

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


@dataclass(frozen=True)
class ImageReference:
    """An image: `registry/repository[:tag][@digest]`; with neither tag nor digest, `latest` is meant."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def reference(self) -> str:
        """What names the manifest at its registry: the digest, the tag, or `latest`."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


class InvalidImageReference(WorkflowError):
    """The text is not the name of an image; the message says which part is wrong and names the option."""

    def __init__(self, text: str, why: str):
        # A user's name and password before the registry, as other programs take them, are not for messages.
        self.text = re.sub(r"[^/\s@]+:[^/\s@]+@(?=[^@]*[./])", "***@", text)
        super().__init__(f"{OPTION} {self.text!r} is not the name of a container image: {why}.")


def parse_image_reference(text: str) -> ImageReference:
    """Takes `[registry/]repository[:tag][@digest]` apart; raises InvalidImageReference."""
    if "://" in text:
        raise InvalidImageReference(text, f"give it without {text.partition('://')[0]!r} and '://'")
    name, at, digest = text.partition("@")
    name, colon, tag = _split_tag(name)
    if not name:
        raise InvalidImageReference(text, "the name is empty")
    if colon and not _TAG.fullmatch(tag):
        raise InvalidImageReference(
            text, f"the tag {tag!r} is not 1 to 128 letters, digits, '_', '.' and '-'"
        )
    if at:
        _check_digest(text, digest)
    registry, repository = _split_registry(name)
    if not _REGISTRY.fullmatch(registry):
        raise InvalidImageReference(text, f"{registry!r} is not the host name of a registry")
    for component in repository.split("/"):
        if _COMPONENT.fullmatch(component):
            continue
        if component != component.lower():
            raise InvalidImageReference(text, f"the part {component!r} must be in lower case")
        raise InvalidImageReference(
            text,
            f"the part {component!r} may only have lower-case letters and digits, joined by '.', '_' or '-'",
        )
    if len(name) > NAME_LENGTH:
        raise InvalidImageReference(text, f"it has {len(name)} characters, and {NAME_LENGTH} are allowed")
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return ImageReference(registry, repository, tag or None, digest or None)


def _split_tag(name: str) -> tuple[str, str, str]:
    # A colon before the last slash belongs to the registry's port.
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    return f"{head}{slash}{last}", colon, tag


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    # Docker's rule: what has a dot or a port, or is localhost or in upper case, is a registry.
    if slash and (any(c in first for c in ".:") or first == "localhost" or first != first.lower()):
        return (DOCKER_HUB if first == "index.docker.io" else first), rest
    return DOCKER_HUB, name


def _check_digest(text: str, digest: str) -> None:
    algorithm, _, code = digest.partition(":")
    if not _DIGEST.fullmatch(digest) or len(code) != _LENGTHS.get(algorithm, len(code)):
        raise InvalidImageReference(
            text, f"{digest!r} is not a digest such as sha256: and 64 hexadecimal digits"
        )
