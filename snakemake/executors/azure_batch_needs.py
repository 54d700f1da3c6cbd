"""What a workflow needs in the image of its tasks, as far as it can be known before they run: each of them parses the
workflow anew, and some call programs."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from snakemake.azure import parsing
from snakemake.azure.image.contents import Need
from snakemake.settings.types import DeploymentMethod

CONDA = "COPY --from=condaforge/miniforge3 /opt/conda /opt/conda; ENV PATH=$PATH:/opt/conda/bin"
APT = "RUN apt-get update && apt-get install -y --no-install-recommends"

PROGRAMS = {
    ".r": ("Rscript", f"{APT} r-base-core"),
    ".rmd": ("Rscript", f"{APT} r-base-core r-cran-rmarkdown"),
    ".jl": (
        "julia",
        "COPY --from=julia /usr/local/julia /usr/local/julia; ENV PATH=$PATH:/usr/local/julia/bin",
    ),
    ".rs": ("rust-script", f"{APT} cargo && cargo install --root /usr/local rust-script"),
}
"""By the suffix of a rule's script: the program, and how an image gets it."""

NOTEBOOK = ("jupyter-nbconvert", "RUN pip install nbconvert ipykernel")


def needs(workflow: Any, jobs: Iterable[Any]) -> list[Need]:
    """What the tasks of `workflow` (Snakemake's), which are these jobs, need."""
    rules = {job.rule.name: job.rule for job in jobs if not job.is_group()}
    return [*_storage_plugins(workflow), *_imports(workflow), *_programs(workflow, rules)]


def _storage_plugins(workflow: Any) -> Iterator[Need]:
    """Of all providers that the workflow declares: tasks that parse it make them, too."""
    for provider in workflow.storage_registry._storages.values():
        module = type(provider).__module__.partition(".")[0]
        if names := _distributions().get(module):
            yield _package(names, "the storage plugin", f"the workflow uses {module.rpartition('_')[2]}")


def _imports(workflow: Any) -> Iterator[Need]:
    """What the workflow's own files have imported."""
    root = Path.cwd().resolve()
    snakefiles = {str(file.get_path_or_uri(secret_free=True)) for file in workflow.included}
    found: dict[str, str] = {}
    for module, importer in sorted(parsing.stop().imported):
        own = importer in snakefiles or parsing.files_below([importer], root)
        file = getattr(sys.modules.get(module), "__file__", None)
        if own and file and module not in sys.stdlib_module_names and not parsing.files_below([file], root):
            found.setdefault(module, importer)
    for module, importer in found.items():
        name = Path(importer).name
        yield _package(
            _distributions().get(module) or [module], "the Python package", f"{name} imports {module}"
        )


def _package(names: list[str], kind: str, why: str) -> Need:
    try:
        pin = f"{names[0]}=={metadata.version(names[0])}"
    except metadata.PackageNotFoundError:
        pin = names[0]
    return Need(f"{kind} {names[0]}", why, f"RUN pip install {pin}", packages=frozenset(names))


def _programs(workflow: Any, rules: Mapping[str, Any]) -> Iterator[Need]:
    with_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    if with_conda and (names := [name for name, rule in rules.items() if rule.conda_env]):
        yield Need(
            "conda", f"--software-deployment-method conda, for rule {names[0]}", CONDA, program="conda"
        )
    for name, rule in rules.items():
        if with_conda and rule.conda_env:
            continue
        if rule.notebook and str(rule.notebook).endswith(".ipynb"):
            yield Need(NOTEBOOK[0], f"rule {name} has a notebook", NOTEBOOK[1], program=NOTEBOOK[0])
        elif known := PROGRAMS.get(Path(str(rule.script or "")).suffix.lower()):
            yield Need(known[0], f"rule {name} has a script for it", known[1], program=known[0])


@cache
def _distributions() -> dict[str, list[str]]:
    return {module: sorted(set(names)) for module, names in metadata.packages_distributions().items()}
