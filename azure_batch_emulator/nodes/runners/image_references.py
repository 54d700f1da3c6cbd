"""Names of container images, as the distribution project's grammar has them.

https://pkg.go.dev/github.com/distribution/reference
"""

import re
from dataclasses import dataclass

from ...core.entities import Failed

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>{_HOST})/)?(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?"
)
DEFAULT_REGISTRY = "docker.io"


@dataclass(frozen=True)
class ImageReference:
    """An image's name taken apart; `tag` and `digest` are empty where the name has none."""

    registry: str
    repository: str
    tag: str
    digest: str


def parse_reference(name: str) -> ImageReference | None:
    """The parts of an image's name, or None if it is none. Without tag and digest, the tag is `latest`."""
    match = _REFERENCE.fullmatch(name)
    if match is None or len(match["repository"]) > 255:
        return None
    registry, repository = match["registry"], match["repository"]
    # The first part is a host only if it looks like one: `team/tool` lies on the default registry.
    if registry and not (
        set(".:[") & set(registry) or registry == "localhost" or registry != registry.lower()
    ):
        registry, repository = None, f"{registry}/{repository}"
    if registry is None:
        registry = DEFAULT_REGISTRY
        repository = repository if "/" in repository else f"library/{repository}"
    tag, digest = match["tag"] or "", match["digest"] or ""
    return ImageReference(registry, repository, tag if tag or digest else "latest", digest)


def invalid_image(image: str, reason: str) -> Failed:
    """The error of a node or a task whose image cannot be used."""
    return Failed(
        "UserError",
        "ContainerInvalidImage",
        "One or more container images specified on the pool or the task are invalid",
        (("Image", image), ("Message", reason)),
    )


def check_references(images: tuple[str, ...]) -> Failed | None:
    for image in images:
        if parse_reference(image) is None:
            return invalid_image(image, "This is not the name of a container image.")
    return None
