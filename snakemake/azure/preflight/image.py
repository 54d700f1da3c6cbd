"""The container image of the tasks: which one, whether its registry has it, and whether it has what they need."""

import re
from collections.abc import Callable, Iterable

from snakemake.azure.image.contents import Contents, Need, lacking
from snakemake.azure.image.labels import fault
from snakemake.azure.image.private_registry import PrivateRegistry
from snakemake.azure.image.reference import parse_image_reference
from snakemake.azure.image.registry import Verdict, check_pull
from snakemake.azure.settings import ExecutorSettings, SettingsError, is_emulator
from snakemake.azure.wire import is_loopback

DEFAULT_IMAGE = "snakemake-azbatch"
"""Name of the image that `make image` builds; its tag is Snakemake's version."""

_UPSTREAM = re.compile(r"(?:(?:index\.|registry-1\.)?docker\.io/)?snakemake/snakemake(?:[:@].*)?")


def container_image(settings: ExecutorSettings, given: str | None) -> str:
    """The image for the tasks. Upstream's default is no choice: it has no `snakemake.azure` in it.

    On the emulator, whose engine has the images of this machine, the image of `make image` is the default.
    """
    from snakemake.common import __version__, get_container_image

    if given and given != get_container_image() and _UPSTREAM.fullmatch(given):
        raise SettingsError(
            "The image snakemake/snakemake has upstream's Snakemake in it, which knows nothing of Azure Batch tasks: "
            "build one with this Snakemake (docker build -t REGISTRY/NAME . in the source tree, then docker push), "
            "and give it as --container-image."
        )
    if given and given != get_container_image():
        parse_image_reference(given)
        return given
    if settings.account_url and is_emulator(settings.account_url):
        return f"{DEFAULT_IMAGE}:{__version__.replace('+', '-')}"
    raise SettingsError(
        "The image for the tasks is missing: give --container-image with an image that has this Snakemake in it "
        "(docker build -t REGISTRY/NAME . in the source tree, then docker push)."
    )


def check_image(
    settings: ExecutorSettings,
    image: str,
    account_endpoint: str,
    needs: Callable[[], Iterable[Need]] = tuple,
    warn: Callable[[str], None] = lambda sentence: None,
    registry: PrivateRegistry | None = None,
) -> tuple[str, frozenset[str] | None]:
    """Asks the image's registry, with the nodes' login, whether it has the image, and what the image says it has in it,
    which is compared with what the workflow `needs`. Returns its name with the digest that the tag stands for now, so
    that nodes that come later pull the same one, and the architectures that it is for (`amd64`, `arm64`), None where
    they are not known.

    Not for a pool that exists, which may have a login of its own and the image already, nor for an emulator on this
    machine, whose engine may have the image without any registry; there, and where the registry gives no answer here,
    the name stays as it is.
    """
    if is_loopback(account_endpoint) or settings.pool_id is not None:
        return image, None
    from snakemake.common import __version__

    reference = parse_image_reference(image)
    ours = registry if registry and registry.server == reference.registry else None
    pull = check_pull(reference, ours.login if ours else None)
    if ours and ours.identity and pull.verdict is Verdict.DENIED:
        return image, None  # the nodes log in by an identity that is not ours
    if pull.problem:
        raise SettingsError(pull.problem)
    if pull.labels is not None and (problem := fault(image, pull.labels, __version__)):
        raise SettingsError(problem)
    if pull.labels is not None:
        lacks, may_lack = lacking(image, Contents.of(pull.labels, pull.history), needs())
        if lacks:
            raise SettingsError(lacks)
        if may_lack:
            warn(may_lack)
    return pull.pinned or image, pull.architectures
