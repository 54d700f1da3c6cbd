"""The container engine of this machine: where it is, what it left behind, and the images on it."""

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

import psutil
import requests
import urllib3
from docker import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound

from ...core.entities import Failed
from .image_references import DEFAULT_REGISTRY, invalid_image, parse_reference

# The SDK lets errors of the libraries below it through where it reads streams.
ENGINE_ERRORS = (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError)
LABEL = "azure-batch-emulator"
HOST_LABEL = f"{LABEL}.host"
PROCESS_LABEL = f"{LABEL}.process"
CONNECTIONS = 64


def connect() -> DockerClient:
    """A client of the engine that DOCKER_HOST names; raises one of ENGINE_ERRORS if it does not answer."""
    client = DockerClient.from_env(max_pool_size=CONNECTIONS)
    client.ping()
    return client


def is_local(client: DockerClient) -> bool:
    """Whether the engine shares this machine's network, so that a task can reach servers on its loopback."""
    # A socket file and a named pipe show as these two names; an engine behind ssh shows as "ssh".
    host = urlsplit(client.api.base_url).hostname
    return host in ("localhost", "localnpipe", "127.0.0.1", "::1")


def unavailable(error: Exception) -> Failed:
    where = os.environ.get("DOCKER_HOST", "its default socket")
    return Failed(
        "ServerError",
        "ContainerEngineUnavailable",
        f"No Docker engine answers at {where}; start one, set DOCKER_HOST, or use --runner process.",
        (("Message", str(error)),),
    )


def own_labels() -> dict[str, str]:
    """What marks a container as one of this emulator's."""
    process = psutil.Process()
    return {HOST_LABEL: socket.gethostname(), PROCESS_LABEL: f"{process.pid}@{process.create_time():.0f}"}


def is_alive(mark: str) -> bool:
    """Whether the process that a PROCESS_LABEL names still runs; its start tells it from a later one."""
    pid, _, started = mark.partition("@")
    try:
        process = psutil.Process(int(pid))
        same = abs(process.create_time() - float(started)) < 5
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False


def remove_orphans(client: DockerClient) -> list[str]:
    """Removes containers of emulators on this host that died before they could; returns their ids."""
    filters = {"label": f"{HOST_LABEL}={socket.gethostname()}"}
    removed = []
    for container in client.containers.list(all=True, filters=filters, ignore_removed=True):
        if not is_alive(container.labels.get(PROCESS_LABEL, "")):
            remove_container(container)
            removed.append(container.id)
    return removed


def remove_container(container) -> None:
    """Removes a container, running or not; it may be gone already or just be going."""
    try:
        container.remove(force=True, v=True)
    except APIError as error:
        if error.status_code not in (404, 409):
            raise


def registry_host(server: str) -> str:
    """The host of a registryServer, which may be written as a URL; none means the default registry."""
    host = server.split("://", 1)[-1].split("/", 1)[0].lower()
    return DEFAULT_REGISTRY if host in ("", "index.docker.io", "registry-1.docker.io") else host


def login_for(image: str, registries: Iterable[Mapping]) -> dict[str, str]:
    """The login that the pool gives for the image's registry. Empty if it gives none: as on a real node,
    logins of whoever runs the emulator are not used."""
    reference = parse_reference(image)
    for registry in registries:
        host = registry_host(registry.get("registryServer") or "")
        if reference and host == reference.registry and registry.get("username"):
            return {"username": registry["username"], "password": registry.get("password") or ""}
    return {}


def redact(text: str, registries: Iterable[Mapping]) -> str:
    """The text without any registry's password."""
    for registry in registries:
        if registry.get("password"):
            text = text.replace(registry["password"], "***")
    return text


def ensure_image(
    client: DockerClient,
    image: str,
    registries: tuple[Mapping, ...],
    cancelled: Callable[[], bool] = lambda: False,
) -> Failed | None:
    """Pulls an image unless the engine has it. Returns early, without error, when `cancelled()` is true."""
    reference = parse_reference(image)
    if reference is None:
        return invalid_image(image, "This is not the name of a container image.")
    try:
        client.images.get(image)
        return None
    except ImageNotFound:
        pass
    tag = reference.digest or reference.tag
    try:
        events = client.api.pull(
            f"{reference.registry}/{reference.repository}",
            tag=tag,
            stream=True,
            decode=True,
            auth_config=login_for(image, registries),
        )
        for event in events:
            if cancelled():
                events.close()
                return None
            if "error" in event:
                return invalid_image(image, redact(str(event["error"]), registries))
    except APIError as error:
        return invalid_image(image, redact(str(error.explanation or error), registries))
    return None
