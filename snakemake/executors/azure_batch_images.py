"""Images of single rules: what `container:` names becomes the image of a rule's tasks.

A task of Azure Batch is a container already, and runs Snakemake in it. So the rule's image has to have this Snakemake
in it, which its labels tell (`snakemake.azure.image.labels`), as those of --container-image do. Upstream's way, to
start a container of the rule's image by apptainer for each shell command, needs rights that a container does not have
unless it is started with more of them (`NESTING`, by --az-batch-container-options).

Without `--sdm apptainer`, upstream takes no notice of `container:`, and many workflows name images that were never
meant for a run like this: then images with this Snakemake are used, and others are named in a warning.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from snakemake.azure.image.labels import fault
from snakemake.azure.image.private_registry import PrivateRegistry, private_registry
from snakemake.azure.image.reference import InvalidImageReference, parse_image_reference
from snakemake.azure.image.registry import Verdict, check_pull
from snakemake.azure.preflight.image import container_image
from snakemake.azure.settings import ExecutorSettings, SettingsError, endpoint
from snakemake.azure.wire import is_loopback
from snakemake.common import __version__

SCHEME = "docker://"
APPTAINER = "apptainer"

NESTING = ("--privileged", "seccomp=unconfined")
"""Options for containers with which apptainer may start others. https://apptainer.org/docs/admin/latest/installation.html"""

LOOK_UPS = 8  # at once

UNKNOWN = "its labels could not be read"


@dataclass(frozen=True)
class Looked:
    """What was found out of an image: the name by which tasks use it, where it has this Snakemake in it, else why not;
    `unknown` where nobody could tell."""

    image: str | None
    why: str = ""
    unknown: bool = False


@lru_cache(maxsize=1000)
def look_up(url: str, here: bool, private: PrivateRegistry | None = None) -> Looked:
    """Asks the registry of the image, with the login of a `private` one, or, for an emulator on this machine (`here`),
    the engine that it may use."""
    if "://" in url and not url.startswith(SCHEME):
        return Looked(None, f"{url} is no image of a registry that Docker can pull")
    name = url.removeprefix(SCHEME)
    try:
        reference = parse_image_reference(name)
    except InvalidImageReference:
        return Looked(None, f"{url} is not the name of a container image")
    labels: Mapping[str, str] | None = _engine_labels(name) if here else None
    pinned = None
    if labels is None and (not here or is_loopback(f"http://{reference.registry}")):
        login = private.login if private and private.server == reference.registry else None
        pull = check_pull(reference, login)
        if pull.verdict is Verdict.MISSING:
            return Looked(None, f"the registry {reference.registry} has no image {url}")
        labels, pinned = pull.labels, None if here else pull.pinned
    if labels is None:
        return Looked(pinned or name, UNKNOWN, unknown=True)
    if problem := fault(url, labels, __version__, named="the image"):
        return Looked(None, problem.partition(": ")[0])
    return Looked(pinned or name)


def _engine_labels(name: str) -> dict[str, str] | None:
    """The labels of an image that this machine's engine has; None where it has none, or there is no engine."""
    command = ["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        return dict(json.loads(done.stdout) or {}) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


@dataclass(frozen=True)
class JobImages:
    """Tells the image of a job's task. `asked` is whether the run is to use containers (--sdm apptainer), `nested`
    whether tasks may start some, `here` whether the account is an emulator on this machine, `private` the registry
    that nodes log in to."""

    asked: bool
    nested: bool
    here: bool
    private: PrivateRegistry | None = None

    @classmethod
    def of_run(cls, workflow: Any, settings: ExecutorSettings) -> "JobImages":
        methods = {str(method) for method in workflow.deployment_settings.deployment_method}
        image = container_image(settings, workflow.remote_execution_settings.container_image)
        return cls(
            APPTAINER in methods,
            any(option in (settings.container_options or "") for option in NESTING),
            bool(settings.account_url) and is_loopback(endpoint(settings.account_url or "")),
            private_registry(settings, image, os.environ),
        )

    def of(self, job: Any) -> str | None:
        """The image for the task of a job or a group; None for that of --container-image.

        Raises
        ------
        SettingsError: tasks cannot run in the image, or the jobs of a group have several.
        """
        chosen = {self._of_one(member) for member in (job.jobs if job.is_group() else [job])}
        if len(chosen) > 1:
            names = sorted(name or "that of --container-image" for name in chosen)
            raise SettingsError(
                f"its jobs run in one task, which is in one container, and have several images ({', '.join(names)}): "
                "give their rules the same container:, or take them out of the group."
            )
        return chosen.pop()

    def without_own(self, dag: Any, jobs: Iterable[Any]) -> list[Any]:
        """The jobs of `dag` (Snakemake's) among `jobs` whose tasks run in the image of --container-image."""
        return [
            job
            for job in jobs
            if not job.rule.container_img or self.of(dag.get_job_group(job) or job) is None
        ]

    def unused(self, job: Any) -> str:
        """Why the image that the job's rule names is not used, a clause; empty where it is, or there is none."""
        url = self._url(job)
        if not url or job.rule.is_containerized:
            return ""
        found = self._look_up(url)
        return found.why if found.image is None or found.unknown else ""

    def look_up_all(self, jobs: Iterable[Any]) -> None:
        """Looks the images of `jobs` up, several at once; each is known from then on."""
        urls = sorted({url for job in jobs if (url := self._url(job))})
        if urls:
            with ThreadPoolExecutor(LOOK_UPS) as threads:
                list(threads.map(self._look_up, urls))

    def _look_up(self, url: str) -> Looked:
        return look_up(url, self.here, self.private)

    def _url(self, job: Any) -> str:
        if not job.rule.container_img or (job.rule.is_containerized and not self.asked):
            return ""
        return str(job.container_img_url or "")

    def _of_one(self, job: Any) -> str | None:
        url = self._url(job)
        if not url:
            return None
        found = self._look_up(url)
        if found.unknown:
            return found.image if self.asked else None
        if found.image is not None or not self.asked or self.nested:
            return found.image
        raise SettingsError(
            f"its container cannot be used: {found.why}, and a task of Azure Batch is a container itself, in which "
            "apptainer may not start another one. Build an image on top of it (docker build --build-arg "
            f"BASE={url.removeprefix(SCHEME)} -t NAME . in the source tree) and name that, or leave out --sdm "
            "apptainer, so that the rule runs in the image of --container-image."
        )
