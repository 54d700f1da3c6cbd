"""environment.yml and pyproject.toml ask for the same versions of the same packages."""

from importlib.metadata import requires

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from .conftest import PYPROJECT, ROOT

# conda's names, where they differ from those on PyPI.
PYPI_NAMES = {"docker-py": "docker", "python-xxhash": "xxhash"}
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
TABLES = ("requires", "emulator", "test")


def from_pip() -> list[str]:
    (section,) = (d["pip"] for d in ENVIRONMENT["dependencies"] if isinstance(d, dict))
    return section


def in_environment() -> dict[str, SpecifierSet]:
    conda = [Requirement(d) for d in ENVIRONMENT["dependencies"] if isinstance(d, str)]
    pip = [Requirement(d) for d in from_pip() if not d.startswith(".")]
    return {PYPI_NAMES.get(r.name, r.name): r.specifier for r in [*conda, *pip]}


def in_pyproject() -> dict[str, SpecifierSet]:
    """What this tree asks for; where it is silent, what upstream does."""
    listed = [Requirement(r) for r in requires("snakemake") or []]
    bounds = {r.name.lower(): r.specifier for r in listed if not r.marker}
    own = [Requirement(r) for table in TABLES for r in PYPROJECT["tool"]["azbatch"][table]]
    return bounds | {r.name: r.specifier for r in own}


@pytest.mark.parametrize("name", sorted(in_environment().keys() & in_pyproject().keys()))
def test_bounds_are_the_same(name):
    assert in_environment()[name] == in_pyproject()[name]


def test_nothing_that_this_tree_needs_at_run_time_is_missing():
    own = PYPROJECT["tool"]["azbatch"]
    needed = {Requirement(r).name for table in TABLES for r in own[table]}
    assert needed <= in_environment().keys()


def test_the_packages_that_users_look_for_are_there():
    wanted = {"python", "pip", "azure-batch", "azure-storage-blob", "pyyaml", "pytest", "docker"}
    assert wanted <= in_environment().keys()
    assert ".[emulator]" in from_pip()


def test_python_is_the_one_that_the_package_requires():
    assert in_environment()["python"] == SpecifierSet(PYPROJECT["project"]["requires-python"])


def test_snakemake_comes_from_this_tree_alone():
    """A snakemake of conda's would be laid over by pip's, and conda would not know."""
    assert not {"snakemake", "snakemake-minimal"} & in_environment().keys()


def test_channels():
    assert ENVIRONMENT["channels"] == ["conda-forge", "nodefaults"]
