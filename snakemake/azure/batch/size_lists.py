"""Which VM sizes a run, or a rule, lets its jobs go to: `auto`, one size, or several.

`auto` stands for a small list of common sizes that are there in most regions: up to 32 vCPUs, with a temporary disk,
4 or 8 GiB of memory for each vCPU, with processors of two makers, whose capacity and quota are apart from each other.
Sizes with 2 GiB are cheaper still and left out: most rules do not say what memory they need. GPU sizes are for jobs
that ask for a GPU, and Arm64 sizes for images that are made for these alone.
"""

from collections.abc import Collection

from snakemake.azure.batch import vm_sizes
from snakemake.azure.batch.vm_sizes import UnknownVmSize, VmSize

AUTO = "auto"
_VCPUS = (4, 8, 16, 32)
_GENERAL = tuple(
    f"Standard_{s.format(n)}" for s in ("D{}ads_v5", "D{}ds_v5", "E{}ads_v5", "E{}ds_v5") for n in _VCPUS
)
_GPU = (
    "Standard_NC4as_T4_v3", "Standard_NC8as_T4_v3", "Standard_NC16as_T4_v3", "Standard_NC64as_T4_v3",
    "Standard_NV36ads_A10_v5", "Standard_NC24ads_A100_v4", "Standard_NC48ads_A100_v4", "Standard_NC96ads_A100_v4",
)  # fmt: skip
_ARM = tuple(f"Standard_{s.format(n)}" for s in ("D{}pds_v5", "E{}pds_v5") for n in _VCPUS)


def auto(gpu: bool = False, architectures: Collection[str] | None = None) -> tuple[VmSize, ...]:
    """The sizes of `auto`. `architectures` are those of the image (`amd64`, `arm64`), None where they are not known."""
    arm = architectures is not None and "amd64" not in architectures and "arm64" in architectures
    return tuple(map(vm_sizes.vm_size, _GPU if gpu else _ARM if arm else _GENERAL))


def names(text: str) -> tuple[str, ...]:
    """The names of a list as people write it; none for `auto`."""
    given = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    return () if len(given) == 1 and given[0].lower() == AUTO else given


def sizes(text: str) -> tuple[VmSize, ...]:
    """The sizes of a list, none for `auto`, in the order of the list.

    Raises
    ------
    UnknownVmSize: one of them is none, or `auto` stands among others.
    """
    found = (_size(name) for name in names(text))
    return tuple({size.name.lower(): size for size in found}.values())


def _size(name: str) -> VmSize:
    if not name:
        raise UnknownVmSize(name, [])
    return vm_sizes.vm_size(name)
