"""What the Dockerfile repeats from elsewhere, held against where it comes from; and the image itself."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from snakemake.azure.image.contents import PACKAGES, PYTHON, TOOLS, normalized
from snakemake.azure.image.labels import fault

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def version() -> str:
    pin = next(r for r in PYPROJECT["build-system"]["requires"] if r.startswith("snakemake=="))
    return f"{pin.removeprefix('snakemake==')}+azbatch.{PYPROJECT['tool']['azbatch']['revision']}"


def own_packages() -> list[str]:
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    values = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PACKAGES"
    ]
    return ["snakemake", *ast.literal_eval(values[0])]


def test_version_label_is_the_version():
    assert re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE) == [version()]


def test_every_package_is_copied_compiled_and_let_through():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    compiled = DOCKERFILE[DOCKERFILE.index("cd /opt/snakemake/lib") :]
    for part in ["misc/edits", *own_packages()]:
        assert f"COPY {part} {part}\n" in DOCKERFILE
        assert f"!{part}" in ignored
    for package in own_packages():
        assert re.search(rf"\s{package}\s", compiled)


@pytest.mark.docker
def test_image_for_a_user_that_nobody_knows(docker_engine, snakemake_image):
    """A task's user has no entry in the image's /etc/passwd and may write nearly nowhere."""
    script = """
set -eu
test "$(id -u)" = 54321
touch ~/here
mkdir -p "$XDG_CACHE_HOME/tool"
python -c '
import getpass, pathlib, snakemake, sys
print(snakemake.__version__, sys.prefix, getpass.getuser())
package = pathlib.Path(snakemake.__file__).parent
sources = sum(1 for _ in package.rglob("*.py"))
compiled = sum(1 for p in package.rglob("*.pyc"))
print("compiled" if sources == compiled else f"{compiled} of {sources} are compiled")
'
snakemake --help | grep -c -e '--az-batch'
python -m snakemake.azure.node 2>&1 || echo "node: $?"
"""
    output = docker_engine.containers.run(
        snakemake_image, ["sh", "-c", script], user="54321:54321", network_mode="host", remove=True
    )
    lines = output.decode().splitlines()
    assert lines[0] == f"{version()} /opt/snakemake snakemake"
    assert lines[1] == "compiled"
    assert int(lines[2]) > 0
    assert "snakemake.azure.node" in output.decode()


@pytest.mark.docker
def test_labels_of_the_image(docker_engine, snakemake_image):
    image = docker_engine.images.get(snakemake_image)
    assert image.labels["org.opencontainers.image.version"] == version()
    assert image.labels["org.opencontainers.image.licenses"] == "MIT"
    assert fault(snakemake_image, image.labels, version()) is None


@pytest.mark.docker
def test_what_the_image_says_it_has(docker_engine, snakemake_image):
    labels = docker_engine.images.get(snakemake_image).labels
    script = "import importlib.metadata as m, sys; print(*sys.version_info[:3]); [print(d.name) for d in m.distributions()]"
    output = docker_engine.containers.run(
        snakemake_image, ["python", "-c", script], network_mode="none", remove=True
    )
    python, *names = output.decode().splitlines()
    said = dict(pin.split("==") for pin in labels[PACKAGES].split())
    assert set(said) == {normalized(name) for name in names} and said["snakemake"] == version()
    assert labels[PYTHON] == python.replace(" ", ".") and "bash" in labels[TOOLS].split()


@pytest.mark.docker
def test_no_secret_of_the_build_is_left(docker_engine, snakemake_image):
    script = "ls -A /run/secrets /root/.cache/pip /root/.config/pip /etc/pip.conf 2>/dev/null; echo; env"
    output = docker_engine.containers.run(
        snakemake_image, ["sh", "-c", script], network_mode="host", remove=True
    ).decode()
    listed, environment = output.split("\n\n", 1) if "\n\n" in output else ("", output)
    assert listed.strip() == ""
    assert "PIP_" not in environment
