"""What a region offers, and what an account has in it."""

from dataclasses import dataclass, field

from .applications import Applications
from .mounts import Mountable


@dataclass(frozen=True)
class VmSize:
    name: str
    cores: int
    memory_gib: float
    temp_disk_gib: float


@dataclass(frozen=True)
class Catalogue:
    """What the region offers, VM sizes by lower-case name, and images as in supportedimages; and what the account
    has, applications by lower-case id, whether a storage account is linked to it, and what its nodes can mount."""

    sizes: dict[str, VmSize]
    images: tuple[dict, ...]
    applications: Applications = field(default_factory=dict)
    auto_storage: bool = False
    mountable: Mountable = Mountable()
