"""Builds the patched Snakemake from the pinned upstream release and this tree.

The repository holds only the delta. At build time the pinned release lies in the build environment
(`build-system.requires` in pyproject.toml); its files are laid down in a staging folder, this tree's files
over them, and the edits of misc/edits to upstream's own files are made at anchors that must occur exactly once.
A regular build stages copies in `build/graft`. An editable install stages `build/live`, where everything
of ours is a symbolic link into the tree, so that an edit is live without a rebuild.
"""

import os
import shutil
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).resolve().parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PIN = next(r for r in CONFIG["build-system"]["requires"] if r.startswith("snakemake=="))
UPSTREAM = PIN.removeprefix("snakemake==")
VERSION = f"{UPSTREAM}+azbatch.{CONFIG['tool']['azbatch']['revision']}"

# Whole packages of ours; in `snakemake/`, which is upstream's, each entry is linked or copied on its own.
PACKAGES = ["azure_batch_emulator", "snakemake_executor_plugin_az_batch", "snakemake_storage_plugin_azblob"]


class GraftError(SystemExit):
    """The tree and the upstream release do not fit; the message says where."""


@dataclass(frozen=True)
class Edit:
    """A named change to one upstream file, where `anchor` must occur exactly once; see misc/edits/README.md."""

    name: str
    why: str
    file: str
    anchor: str
    before: str = ""
    instead: str | None = None
    after: str = ""
    live_only: bool = False

    @property
    def result(self) -> str:
        return self.before + (self.anchor if self.instead is None else self.instead) + self.after


def read_edits() -> list[Edit]:
    themes = sorted((ROOT / "misc" / "edits").glob("*.toml"))
    if not themes:
        raise GraftError("There are no edits at misc/edits; the build needs the whole tree.")
    return [
        Edit(name, **edit)
        for theme in themes
        for name, edit in tomllib.loads(theme.read_text(encoding="utf-8")).items()
    ]


EDITS = [
    Edit(
        "version",
        "The fork's version is upstream's with a local label.",
        "snakemake/__init__.py",
        f'__version__ = "{UPSTREAM}"',
        instead=f'__version__ = "{VERSION}"',
    ),
    *read_edits(),
]


def upstream() -> Distribution:
    """The pinned release as installed in the build environment."""
    try:
        dist = distribution("snakemake")
    except PackageNotFoundError:
        raise GraftError(f"The build needs {PIN} in its environment, and there is none.") from None
    if dist.version != UPSTREAM:
        raise GraftError(
            f"The build needs {PIN} in its environment, but finds snakemake {dist.version}; "
            "build with isolation (no --no-build-isolation)."
        )
    return dist


def lay_upstream(dist: Distribution, stage: Path) -> None:
    for file in dist.files or []:
        if file.parts[0] == "snakemake" and "__pycache__" not in file.parts:
            target = stage / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(dist.locate_file(file), target)


def apply_edits(stage: Path, live: bool) -> None:
    misfits = []
    for edit in EDITS:
        if edit.live_only and not live:
            continue
        path = stage / edit.file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if (found := text.count(edit.anchor)) != 1:
            misfits.append(
                f"  {edit.name}: its anchor occurs {found} times in {edit.file}: {edit.anchor.strip()!r}"
            )
        else:
            path.write_text(text.replace(edit.anchor, edit.result), encoding="utf-8")
    if misfits:
        raise GraftError("\n".join([f"These edits do not fit snakemake {UPSTREAM}:", *misfits]))


def lay_tree(stage: Path, live: bool) -> None:
    """Puts this tree's files over upstream's; none of them may replace one of upstream's."""

    def put(source: Path, target: Path) -> None:
        if source.name == "__pycache__":
            return
        if target.is_dir() and not target.is_symlink():
            for child in source.iterdir():
                put(child, target / child.name)
        elif target.exists():
            raise GraftError(f"{source.relative_to(ROOT)} would replace a file of snakemake {UPSTREAM}.")
        elif live:
            target.symlink_to(os.path.relpath(source, target.parent))
        elif source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)

    for package in ["snakemake", *PACKAGES]:
        put(ROOT / package, stage / package)


def graft(live: bool) -> Path:
    dist = upstream()
    stage = ROOT / "build" / ("live" if live else "graft")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    lay_upstream(dist, stage)
    apply_edits(stage, live)
    lay_tree(stage, live)
    licence = next(f for f in dist.files or [] if f.name.startswith("LICENSE"))
    shutil.copyfile(dist.locate_file(licence), ROOT / "build" / "LICENSE.snakemake.md")
    return stage


def requirements() -> tuple[list[str], dict[str, list[str]]]:
    """Upstream's requirements and extras, and ours."""
    own = CONFIG["tool"]["azbatch"]
    base, extras = list(own["requires"]), {k: list(own[k]) for k in ("emulator", "test", "lint")}
    for requirement in upstream().requires or []:
        spec, _, marker = requirement.partition(";")
        if "extra ==" in marker:
            extras.setdefault(marker.split("==")[1].strip(" '\""), []).append(spec.strip())
        else:
            base.append(requirement)
    return base, extras


def main() -> None:
    stage = graft(live="editable_wheel" in sys.argv).relative_to(ROOT)
    install_requires, extras_require = requirements()
    scripts = [f"{e.name} = {e.value}" for e in upstream().entry_points if e.group == "console_scripts"]
    setup(
        version=VERSION,
        packages=find_namespace_packages(str(stage)),
        package_dir={"": str(stage)},
        package_data={"": ["*", ".*"]},
        include_package_data=False,
        install_requires=install_requires,
        extras_require=extras_require,
        entry_points={
            "console_scripts": [*scripts, "azure-batch-emulator = azure_batch_emulator.entry:main"]
        },
        license_files=["LICENSE", "build/LICENSE.snakemake.md"],
    )


# `misc/upgrade` imports this file for its functions; the build back end runs it as a program.
if __name__ == "__main__":
    main()
