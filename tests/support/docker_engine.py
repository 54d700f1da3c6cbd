"""The Docker engine and the image with this tree's Snakemake, as fixtures.

Where there is none, the test is skipped and says so; with AZBATCH_REQUIRE_DOCKER=1 it fails instead.
`misc/docker/README.md` says how to start an engine and build the image.
"""

import os
from collections.abc import Iterator
from typing import NoReturn

import docker
import pytest
import requests

TITLE_LABEL = "org.opencontainers.image.title=snakemake-azbatch"


def missing(what: str) -> NoReturn:
    if os.environ.get("AZBATCH_REQUIRE_DOCKER") == "1":
        pytest.fail(f"{what} (AZBATCH_REQUIRE_DOCKER is set)")
    pytest.skip(what)


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[docker.DockerClient]:
    """A client of the engine at DOCKER_HOST or at the default socket."""
    try:
        client = docker.from_env()
        client.ping()
    except (docker.errors.DockerException, requests.RequestException, OSError):
        missing(f"no Docker engine answers at {os.environ.get('DOCKER_HOST', 'the default socket')}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def snakemake_image(docker_engine: docker.DockerClient) -> str:
    """The name of an image built from the Dockerfile: AZBATCH_TEST_IMAGE, or the newest that the engine has."""
    if name := os.environ.get("AZBATCH_TEST_IMAGE"):
        try:
            docker_engine.images.get(name)
        except docker.errors.ImageNotFound:
            missing(f"the engine has no image {name}, which AZBATCH_TEST_IMAGE names")
        return name
    images = [i for i in docker_engine.images.list(filters={"label": TITLE_LABEL}) if i.tags]
    if not images:
        missing("the engine has no image built from the Dockerfile; run misc/docker/image")
    return max(images, key=lambda image: image.attrs["Created"]).tags[0]
