"""Builds the emulator as a distribution of its own from the tree around it: `pip install ./misc/emulator`.

The tree's package is laid in `build` here (by a symbolic link for an editable install); nothing of it is kept twice.
"""

import ast
import shutil
import sys
import tomllib
from pathlib import Path

from setuptools import find_namespace_packages, setup

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
PACKAGE = "azure_batch_emulator"


def stage(live: bool) -> Path:
    """The folder that holds the package, relative to this one."""
    folder = HERE / "build" / ("live" if live else "stage")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if live:
        (folder / PACKAGE).symlink_to(TREE / PACKAGE)
    else:
        shutil.copytree(TREE / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(TREE / "LICENSE", HERE / "build" / "LICENSE")
    return folder.relative_to(HERE)


def version() -> str:
    """`__version__` of the package, read without importing what it needs."""
    for node in ast.parse((TREE / PACKAGE / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return ast.literal_eval(node.value)
    raise SystemExit(f"{PACKAGE}/__init__.py has no __version__.")


def main() -> None:
    if "sdist" in sys.argv:
        raise SystemExit(
            "The sources lie outside of this folder: build a wheel only (pip wheel, build --wheel)."
        )
    if not (TREE / PACKAGE).is_dir():
        raise SystemExit(f"This folder is built within its tree, and {TREE / PACKAGE} is not there.")
    config = tomllib.loads((TREE / "pyproject.toml").read_text(encoding="utf-8"))
    folder = str(stage(live="editable_wheel" in sys.argv))
    setup(
        version=version(),
        packages=find_namespace_packages(folder),
        package_dir={"": folder},
        package_data={"": ["*", ".*"]},
        include_package_data=False,
        install_requires=config["tool"]["azbatch"]["emulator"],
        license_files=["build/LICENSE"],
    )


main()
