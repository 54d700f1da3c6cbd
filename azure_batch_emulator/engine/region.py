"""What the emulated region offers: `data/vm_sizes.json` and `data/supported_images.json`."""

import json
from functools import cache
from importlib.resources import files

from ..core.bodies.catalogue import Catalogue, VmSize


@cache
def catalogue() -> Catalogue:
    data = files("azure_batch_emulator").joinpath("data")
    sizes = json.loads(data.joinpath("vm_sizes.json").read_text(encoding="utf-8"))
    images = json.loads(data.joinpath("supported_images.json").read_text(encoding="utf-8"))
    return Catalogue(
        {
            name.lower(): VmSize(
                name,
                size["cores"],
                size["memoryGiB"],
                size["tempDiskGiB"],
                tuple(size.get("generations", (1, 2))),
                size.get("processor", "x64"),
            )
            for name, size in sizes.items()
        },
        tuple(images),
    )
