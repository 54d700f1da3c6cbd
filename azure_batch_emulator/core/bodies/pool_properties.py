"""The documented rules of what a pool's machines have: network, disks, users, extensions, upgrades, mounts.

https://learn.microsoft.com/rest/api/batchservice/pools/create-pool
"""

import re
from collections.abc import Iterable

from ...protocol.errors import invalid_property
from . import mounts
from .checks import check_range
from .containers import check_configuration

MAX_NAT_POOLS = 5
MAX_RULES = 25
MIN_FRONTEND_PORTS = 40
MAX_LUN = 63
MAX_USER_NAME = 20
_RESERVED_BACKEND = (29876, 29877)
_RESERVED_FRONTEND = range(50000, 55001)
_ENDPOINT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,75}[A-Za-z0-9_])?")
_SUBNET = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+/virtualNetworks/[^/]+/subnets/[^/]+",
    re.IGNORECASE,
)
_PUBLIC_IP = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Network/publicIPAddresses/[^/]+",
    re.IGNORECASE,
)
_VM = "virtualMachineConfiguration/"


def check_properties(spec: dict) -> None:
    """What is in a pool's specification, new or changed, is as the service documents it, else a BatchError."""
    if "networkConfiguration" in spec:
        check_network(spec["networkConfiguration"])
    if "virtualMachineConfiguration" in spec:
        check_machine(spec["virtualMachineConfiguration"])
    if "upgradePolicy" in spec:
        check_upgrades(spec["upgradePolicy"], spec.get("virtualMachineConfiguration", {}))
    check_users(spec.get("userAccounts", ()))
    mounts.check_rules(spec.get("mountConfiguration", ()))


def _distinct(name: str, values: Iterable, what: str) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise invalid_property(name, value, f"{what} must be distinct.")
        seen.add(value)


def check_network(network: dict) -> None:
    where = "networkConfiguration/"
    if "subnetId" in network and not _SUBNET.fullmatch(network["subnetId"]):
        raise invalid_property(where + "subnetId", network["subnetId"], "This is not a subnet's resource id.")
    public = network.get("publicIPAddressConfiguration", {})
    provision = public.get("provision", "batchmanaged")
    if (provision == "usermanaged") != bool(public.get("ipAddressIds")):
        raise invalid_property(
            where + "publicIPAddressConfiguration",
            provision,
            "ipAddressIds are for usermanaged addresses, which need them.",
        )
    for address in public.get("ipAddressIds", ()):
        if not _PUBLIC_IP.fullmatch(address):
            raise invalid_property(
                where + "publicIPAddressConfiguration/ipAddressIds", address, "This is not a resource id."
            )
    endpoints = network.get("endpointConfiguration")
    if endpoints is None:
        return
    if provision == "nopublicipaddresses":
        raise invalid_property(
            where + "endpointConfiguration", provision, "The nodes have no public address."
        )
    check_nat_pools(endpoints["inboundNATPools"], where + "endpointConfiguration/inboundNATPools")


def check_nat_pools(pools: list[dict], where: str) -> None:
    if len(pools) > MAX_NAT_POOLS:
        raise invalid_property(where, len(pools), f"A pool has at most {MAX_NAT_POOLS} inbound NAT pools.")
    _distinct(where, [pool["name"].lower() for pool in pools], "Names")
    _distinct(where, [pool["backendPort"] for pool in pools], "Backend ports")
    taken: list[range] = []
    for i, pool in enumerate(pools):
        here = f"{where}[{i}]/"
        if not _ENDPOINT_NAME.fullmatch(pool["name"]):
            raise invalid_property(
                here + "name", pool["name"], "At most 77 letters, digits, hyphens, periods and underscores."
            )
        check_range(here + "backendPort", pool["backendPort"], 1, 65535)
        if pool["backendPort"] in _RESERVED_BACKEND:
            raise invalid_property(here + "backendPort", pool["backendPort"], "The port is reserved.")
        start, end = pool["frontendPortRangeStart"], pool["frontendPortRangeEnd"]
        check_range(here + "frontendPortRangeStart", start, 1, 65534)
        check_range(here + "frontendPortRangeEnd", end, 1, 65534)
        ports = range(start, end + 1)
        if len(ports) < MIN_FRONTEND_PORTS:
            raise invalid_property(
                here + "frontendPortRangeEnd", end, f"A range has at least {MIN_FRONTEND_PORTS} ports."
            )
        for other in (*taken, _RESERVED_FRONTEND):
            if max(ports[0], other[0]) <= min(ports[-1], other[-1]):
                raise invalid_property(
                    here + "frontendPortRangeStart",
                    start,
                    f"The range meets {other[0]} to {other[-1]}, which is taken or reserved.",
                )
        taken.append(ports)
    rules = [rule for pool in pools for rule in pool.get("networkSecurityGroupRules", ())]
    if len(rules) > MAX_RULES:
        raise invalid_property(where, len(rules), f"A pool has at most {MAX_RULES} security rules.")
    for rule in rules:
        check_range(where + "/networkSecurityGroupRules/priority", rule["priority"], 150, 4096)
    _distinct(where + "/networkSecurityGroupRules", [rule["priority"] for rule in rules], "Priorities")


def check_machine(machine: dict) -> None:
    for name in ("windowsConfiguration", "licenseType"):
        if name in machine:  # all images that are taken are Linux
            raise invalid_property(_VM + name, "", "Not for an image with Linux.")
    check_configuration(machine.get("containerConfiguration", {}))
    disks = machine.get("dataDisks", ())
    for disk in disks:
        check_range(_VM + "dataDisks/lun", disk["lun"], 0, MAX_LUN)
        check_range(_VM + "dataDisks/diskSizeGB", disk["diskSizeGB"], 1, 2**31 - 1)
        disk.setdefault("caching", "readwrite")
    _distinct(_VM + "dataDisks/lun", [disk["lun"] for disk in disks], "Logical unit numbers")
    if "diskSizeGB" in machine.get("osDisk", {}):
        check_range(_VM + "osDisk/diskSizeGB", machine["osDisk"]["diskSizeGB"], 1, 2**31 - 1)
    extensions = machine.get("extensions", ())
    names = [extension["name"].lower() for extension in extensions]
    _distinct(_VM + "extensions", names, "Names of extensions")
    for extension in extensions:
        for before in extension.get("provisionAfterExtensions", ()):
            if before.lower() not in names or before.lower() == extension["name"].lower():
                raise invalid_property(
                    _VM + "extensions/provisionAfterExtensions",
                    before,
                    "The pool has no such other extension.",
                )


def check_upgrades(policy: dict, machine: dict) -> None:
    where = "upgradePolicy/rollingUpgradePolicy/"
    rolling = policy.get("rollingUpgradePolicy", {})
    for name, least in (
        ("maxBatchInstancePercent", 5),
        ("maxUnhealthyInstancePercent", 5),
        ("maxUnhealthyUpgradedInstancePercent", 0),
    ):
        if name in rolling:
            check_range(where + name, rolling[name], least, 100)
    batch = rolling.get("maxBatchInstancePercent")
    unhealthy = rolling.get("maxUnhealthyInstancePercent")
    if batch is not None and unhealthy is not None and batch > unhealthy:
        raise invalid_property(
            where + "maxBatchInstancePercent", batch, "The value is above maxUnhealthyInstancePercent."
        )
    placement = machine.get("nodePlacementConfiguration", {}).get("policy", "regional")
    if "enableCrossZoneUpgrade" in rolling and placement != "zonal":
        raise invalid_property(
            where + "enableCrossZoneUpgrade",
            rolling["enableCrossZoneUpgrade"],
            "Only with a nodePlacementConfiguration of zonal.",
        )


def check_users(users: Iterable[dict]) -> None:
    users = list(users)
    for user in users:
        if not 1 <= len(user["name"]) <= MAX_USER_NAME:
            raise invalid_property(
                "userAccounts/name", user["name"][:30], f"A name has 1 to {MAX_USER_NAME} characters."
            )
        linux = user.get("linuxUserConfiguration", {})
        if ("uid" in linux) != ("gid" in linux):
            raise invalid_property(
                "userAccounts/linuxUserConfiguration",
                user["name"],
                "uid and gid are given together, or neither.",
            )
        if "windowsUserConfiguration" in user:
            raise invalid_property(
                "userAccounts/windowsUserConfiguration", user["name"], "Not for an image with Linux."
            )
    _distinct("userAccounts/name", [user["name"] for user in users], "Names")
