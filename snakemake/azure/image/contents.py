"""What an image has for workflows: Python packages, programs that Snakemake calls, its Python.

The image says it by labels. `snakemake-azbatch.packages` stands in the Dockerfile, since the lock file fixes them;
`misc/docker/label` asks the image itself, by running this module in it, and writes all three.

An image on top of another has the labels of that one, and more in it. The image's history tells whether anything came
after the labels, and by which commands: then a package that the labels lack may be there.
https://github.com/opencontainers/image-spec/blob/main/config.md
"""

import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from snakemake.azure.image.reference import OPTION

PACKAGES = "snakemake-azbatch.packages"
"""The label with the packages of the image's Python, as `name==version`, with blanks between them."""

PYTHON = "snakemake-azbatch.python"
TOOLS = "snakemake-azbatch.tools"
"""The label with those of PROGRAMS that are on the image's PATH."""

PROGRAMS = (
    "apptainer",
    "bash",
    "conda",
    "git",
    "julia",
    "jupyter-nbconvert",
    "mamba",
    "papermill",
    "perl",
    "Rscript",
    "rust-script",
    "singularity",
)


@dataclass(frozen=True)
class Need:
    """Something that a workflow needs in its image: one of the packages, or a program.

    what, why: `the package pandas`, `the workflow imports it`; line: of a Dockerfile that brings it; words: one of them
    stands in a command that does.
    """

    what: str
    why: str
    line: str
    packages: frozenset[str] = frozenset()
    program: str = ""

    @property
    def words(self) -> frozenset[str]:
        return self.packages or frozenset({self.program})


@dataclass(frozen=True)
class Contents:
    """What is known of an image: None where nothing is. `on_top` are the commands that came after the labels."""

    packages: Mapping[str, str] | None = None
    programs: frozenset[str] | None = None
    on_top: tuple[str, ...] | None = None

    @classmethod
    def of(cls, labels: Mapping[str, str], history: Sequence[Mapping[str, Any]]) -> "Contents":
        """From the image's labels, and its history as in an image's configuration."""
        pairs = [item.partition("==") for item in labels.get(PACKAGES, "").split()]
        tools = labels.get(TOOLS)
        commands = [str(entry.get("created_by", "")) for entry in history]
        labelled = [number for number, command in enumerate(commands) if PACKAGES in command]
        later = range(labelled[-1] + 1, len(commands)) if labelled else ()
        return cls(
            {normalized(name): version for name, _, version in pairs} or None,
            frozenset(tools.split()) if tools else None,
            tuple(commands[n] for n in later if not history[n].get("empty_layer")) if labelled else None,
        )

    def lacks(self, need: Need) -> bool:
        if need.packages:
            return self.packages is not None and not any(
                normalized(p) in self.packages for p in need.packages
            )
        return self.programs is not None and need.program not in self.programs

    def brings(self, need: Need) -> bool:
        """Whether a command on top names it."""
        return any(word.lower() in text.lower() for word in need.words for text in self.on_top or ())


def normalized(package: str) -> str:
    """https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", package).lower()


def lacking(image: str, contents: Contents, needs: Iterable[Need]) -> tuple[str | None, str | None]:
    """One sentence on what the image lacks, and one on what it may lack; each None if that is nothing."""
    missing = [need for need in needs if contents.lacks(need) and not contents.brings(need)]
    if not missing:
        return None, None
    what = "; ".join(f"{need.what} ({need.why})" for need in missing)
    lines = "; ".join(dict.fromkeys(need.line for need in missing))
    if contents.on_top == ():
        return (
            f"{OPTION} {image} lacks what the workflow's tasks need: {what}. Build an image on top of it, whose "
            f"Dockerfile has FROM {image} and then {lines}, and give that one."
        ), None
    return None, (
        f"{OPTION} {image} does not say that it has what the workflow's tasks need: {what}. If its Dockerfile does not "
        f"bring it, tasks fail, and these lines of one do: {lines}. misc/docker/label lets an image say what it has."
    )


def measured() -> dict[str, str]:
    """The labels for the image that this runs in."""
    found = {normalized(d.name): d.version for d in metadata.distributions() if d.name}
    return {
        PACKAGES: " ".join(f"{name}=={version}" for name, version in sorted(found.items())),
        PYTHON: ".".join(map(str, sys.version_info[:3])),
        TOOLS: " ".join(name for name in PROGRAMS if shutil.which(name)),
    }


if __name__ == "__main__":
    for label, value in measured().items():
        print(f'LABEL {label}="{value}"')
