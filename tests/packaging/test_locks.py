"""The lock files name what pyproject.toml asks for, each release with its hashes; misc/locks/update writes them."""

import json
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .conftest import PYPROJECT, ROOT

LOCKS = ROOT / "misc" / "locks"
OWN = PYPROJECT["tool"]["azbatch"]
BUILD = PYPROJECT["build-system"]["requires"]
SETUP = (ROOT / "misc/setup/azurite").read_text()


def locked(name: str) -> dict[str, set[str]]:
    """Versions by package; a package that depends on the platform may have several."""
    found: dict[str, set[str]] = {}
    for block in re.split(r"\n(?=\S)", (LOCKS / name).read_text()):
        if match := re.match(r"([\w.-]+)==([^\s;]+)", block):
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), f"{match[1]} has no hash"
            found.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return found


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("image.txt", [*BUILD, *OWN["requires"]]),
        ("dev.txt", [*BUILD, *(r for table in ("requires", "emulator", "test", "lint") for r in OWN[table])]),
    ],
)
def test_locked_releases_are_within_the_bounds(name, wanted):
    found = locked(name)
    for requirement in map(Requirement, wanted):
        versions = found[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(v, prereleases=True) for v in versions), requirement


def test_the_image_has_what_was_tested():
    image, tested = locked("image.txt"), locked("dev.txt")
    assert {name: tested.get(name) for name in image} == image


def test_azurite_and_its_dependencies():
    (version,) = re.findall(r'^AZURITE = "(.+)"', SETUP, re.MULTILINE)
    assert json.loads((LOCKS / "package.json").read_text())["dependencies"] == {"azurite": version}
    packages = json.loads((LOCKS / "package-lock.json").read_text())["packages"]
    assert packages["node_modules/azurite"]["version"] == version
    assert all(p.get("integrity", "").startswith("sha512-") for name, p in packages.items() if name)


def test_the_dockerfile_and_ci_use_them():
    assert "--require-hashes -r image.txt" in (ROOT / "Dockerfile").read_text()
    assert "export LOCKED=1" in (ROOT / ".ci/run").read_text()
    assert "!misc/locks/image.txt" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_dockerfiles_label_has_them():
    """But for those of other systems, and what goes again when the image is built; misc/locks/update writes it."""
    (text,) = re.findall(r'^ARG PACKAGES="([^"]*)"', (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    said = dict(pin.split("==") for pin in text.replace("\\\n", "").split())
    image = locked("image.txt")
    assert set(image) - set(said) == {"pyreadline3", "setuptools", "snakemake"}
    assert all(version in image[name] for name, version in said.items())
