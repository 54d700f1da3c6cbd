"""Conda environments of rules in a task: upstream's own way of making them, once for each node.

Upstream makes an environment below `.snakemake/conda` or `--conda-prefix`. A task's working directory is its own, so
that each task would make its own. Here they go to a folder that all tasks of a node share, or to an absolute
`--conda-prefix`, such as one that the image has environments in already (`snakemake.azure.node.environments`).

To know an environment's name, upstream starts `conda` four times, for its version, its platform and its settings: two
seconds of CPU. What it says is the same for all tasks of an image, and is kept in the same folder.

https://snakemake.readthedocs.io/en/stable/snakefiles/deployment.html
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from snakemake.azure.node.environments import Environments
from snakemake.azure.node.shared import locked, private_folder

SHARED = "snakemake-conda"
PACKAGES = "CONDA_PKGS_DIRS"

# What the image's system and the node's processor offer to packages; the kernel is another one after each update.
# https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-virtual.html
_IGNORED = {"__conda", "__linux", "__unix"}


def share_environments(shared: Path, environments: Environments) -> None:
    """From now on, Snakemake's environments are made by `environments`, in a folder of `shared`."""
    home = private_folder(shared, SHARED)
    if home is None:
        return
    from snakemake.deployment import conda

    _remember(conda.Conda, home)
    _place(conda.Env, home)
    create = conda.Env.create

    def shared_create(env: Any, dryrun: bool = False) -> Any:
        if dryrun or env.is_containerized:
            return create(env, dryrun)
        path = Path(env.address)
        done = conda.get_env_setup_done_flag_file(path)
        environments.ensure(path, done, _key(env), lambda: _with_packages(path.parent, create, env))
        return str(path)

    conda.Env.create = shared_create


def _place(env_class: Any, home: Path) -> None:
    """Environments lie in `home`, where no absolute path was given."""
    initialize = env_class.__init__

    def placed(env: Any, workflow: Any, *args: Any, **options: Any) -> None:
        initialize(env, workflow, *args, **options)
        given = workflow.deployment_settings.conda_prefix
        if (
            not options.get("envs_dir")
            and not env.is_containerized
            and not (given and Path(given).is_absolute())
        ):
            env._envs_dir = str(home)

    env_class.__init__ = placed


def _key(env: Any) -> str:
    """Upstream's own hash, which goes by the place, the definition, its pins and its script, and what packages are
    chosen by besides."""
    system = sorted(package for package in env.conda.info["virtual_pkgs"] or () if package[0] not in _IGNORED)
    text = json.dumps([env.hash, env.conda.platform, system])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _with_packages(folder: Path, create: Callable[[Any], object], env: Any) -> None:
    """Packages are kept on the disk that environments are on, so that these consist of links to them."""
    if PACKAGES in os.environ:
        create(env)
        return
    os.environ[PACKAGES] = str(folder / "pkgs")
    try:
        create(env)
    finally:
        del os.environ[PACKAGES]


def _remember(conda_class: Any, home: Path) -> None:
    """Asks `conda` for each image once."""
    initialize = conda_class.__init__

    def remembered(
        conda: Any, container_img: Any = None, prefix_path: Any = None, check: bool = False
    ) -> None:
        if conda.is_initialized or container_img is not None or prefix_path is not None:
            return initialize(conda, container_img, prefix_path, check)
        notes = home / f"conda-{_installation()}.json"
        with locked(home / "conda.lock"):
            info = _read(notes)
            if info is None:
                initialize(conda, check=True)
                info = {name: conda.info.get(name) for name in ("conda_prefix", "platform", "virtual_pkgs")}
                _write(notes, json.dumps(info))
        conda.container_img, conda.info = None, info
        conda.prefix_path, conda.platform = info["conda_prefix"], info["platform"]
        return None

    conda_class.__init__ = remembered


def _installation() -> str:
    """What tells one installation of conda from that of another image."""
    program = shutil.which("conda")
    places = [Path(program), Path(program).resolve().parents[1] / "conda-meta" / "history"] if program else []
    seen: list[Any] = [os.environ.get("CONDA_PREFIX")]
    for place in places:
        with suppress(OSError):
            found = place.stat()
            seen += [str(place), found.st_mtime_ns, found.st_size]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    part.write_text(text)
    part.rename(path)
