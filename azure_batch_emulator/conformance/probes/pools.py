"""Pools without nodes, images, and machines that can't start."""

from ..probe import Context, probe


@probe("A pool that there is not is 404.", "404 PoolNotFound", "pools: create", "documented")
def pool_not_found(c: Context):
    return c.send("GET", f"/pools/{c.name('nowhere')}").told


@probe("Ids are the same in upper and lower case.", "409 PoolExists", "limits: 100 tasks", "documented")
def ids_without_case(c: Context):
    path = c.pool("case")
    body = {
        "id": c.name("case").upper(),
        "vmSize": c.machine.size,
        "virtualMachineConfiguration": c.machine.configuration,
    }
    assert path
    return c.send("POST", "/pools", body).told


@probe(
    "What a pool has that was not given.",
    ["PT15M", 1, "spread", False, "steady"],
    "echoed defaults",
    "recorded",
)
def defaults_of_pools(c: Context):
    shown = c.must("GET", c.pool("defaults")).json
    policy = str(shown["taskSchedulingPolicy"]["nodeFillType"]).lower()
    return [
        shown["resizeTimeout"],
        shown["taskSlotsPerNode"],
        policy,
        shown["enableAutoScale"],
        shown["allocationState"],
    ]


@probe(
    "ubuntu-hpc 2404 runs containers, is verified, and is of generation 2.",
    [True, "verified", True],
    "images",
    "reported",
)
def default_image(c: Context):
    images = c.must("GET", "/supportedimages", _filter="osType eq 'linux'").json["value"]
    for image in images:
        reference = image["imageReference"]
        if (reference.get("publisher"), reference.get("offer"), reference.get("sku")) == (
            "microsoft-dsvm", "ubuntu-hpc", "2404",
        ):  # fmt: skip
            found = image.get("capabilities", [])
            verified = str(image["verificationType"]).lower()
            return ["DockerCompatible" in found, verified, "Generation2VMImage" in found]
    return "not in the list"


@probe(
    "A size of generation 1 does not boot an image of generation 2: a resize error with the provider's text.",
    ["AllocationFailed", True],
    "images",
    "reported",
)
def generations(c: Context):
    path = c.pool("generation", vmSize="Standard_D2_v3", targetDedicatedNodes=1)
    shown = c.until(path, lambda pool: pool["allocationState"] == "steady")
    if not shown.get("resizeErrors"):
        return "no error"
    error = shown["resizeErrors"][0]
    text = " ".join(value["value"] for value in error.get("values", ()))
    return [error["code"], "cannot boot Hypervisor Generation '2'" in text]


@probe(
    "stopresize leaves the pool's entity tag as it was.",
    True,
    "does a task's entity tag change",
    "recorded",
    "node",
)
def tag_after_stopresize(c: Context):
    path = c.pool("stop")
    found: bool | str = "always too late"
    # Where machines come at once, it may be too late to stop them, or they come before the tag is asked for.
    for nodes in range(1, 21):
        c.until(path, lambda pool: pool["allocationState"] == "steady")
        before = c.must("POST", f"{path}/resize", {"targetDedicatedNodes": nodes}).headers["etag"]
        if c.send("POST", f"{path}/stopresize").status != 409:
            found = c.must("GET", path).json["eTag"] == before
            if found:
                break
    return found
