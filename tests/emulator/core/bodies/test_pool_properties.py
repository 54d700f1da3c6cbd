"""The documented rules of a pool's properties, one wrong value at a time."""

import copy

import pytest

from azure_batch_emulator.core.bodies.pool_properties import check_properties
from azure_batch_emulator.protocol.errors import BatchError

NAT = {
    "name": "ssh",
    "protocol": "tcp",
    "backendPort": 22,
    "frontendPortRangeStart": 1000,
    "frontendPortRangeEnd": 1039,
}
RULE = {"priority": 150, "access": "allow", "sourceAddressPrefix": "*"}
SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"
ADDRESS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/publicIPAddresses/a"
BLOB = {"accountName": "a", "containerName": "c", "relativeMountPath": "data"}


def network(**more):
    return {"networkConfiguration": more}


def nat(*pools, **public):
    return network(endpointConfiguration={"inboundNATPools": list(pools)}, **public)


def machine(**more):
    return {"virtualMachineConfiguration": more}


def rolling(machine_configuration=None, **more):
    policy = {"upgradePolicy": {"mode": "rolling", "rollingUpgradePolicy": more}}
    return policy | ({"virtualMachineConfiguration": machine_configuration} if machine_configuration else {})


GOOD = [
    {},
    network(subnetId=SUBNET, dynamicVNetAssignmentScope="job"),
    network(publicIPAddressConfiguration={"provision": "usermanaged", "ipAddressIds": [ADDRESS]}),
    nat(NAT),
    nat(
        NAT,
        NAT | {"name": "b", "backendPort": 23, "frontendPortRangeStart": 1040, "frontendPortRangeEnd": 1079},
    ),
    nat(NAT | {"networkSecurityGroupRules": [RULE, RULE | {"priority": 4096}]}),
    machine(dataDisks=[{"lun": 0, "diskSizeGB": 1}, {"lun": 63, "diskSizeGB": 1}], osDisk={"diskSizeGB": 30}),
    machine(extensions=[{"name": "a"}, {"name": "b", "provisionAfterExtensions": ["A"]}]),
    rolling(maxBatchInstancePercent=5, maxUnhealthyInstancePercent=5, maxUnhealthyUpgradedInstancePercent=0),
    rolling({"nodePlacementConfiguration": {"policy": "zonal"}}, enableCrossZoneUpgrade=True),
    {"mountConfiguration": [{"azureBlobFileSystemConfiguration": BLOB | {"accountKey": "k"}}]},
    {"userAccounts": [{"name": "a", "linuxUserConfiguration": {"uid": 1, "gid": 1}}, {"name": "b" * 20}]},
]
BAD = [
    (network(subnetId="x"), "networkConfiguration/subnetId"),
    (network(publicIPAddressConfiguration={"provision": "usermanaged"}), "publicIPAddressConfiguration"),
    (network(publicIPAddressConfiguration={"ipAddressIds": [ADDRESS]}), "publicIPAddressConfiguration"),
    (network(publicIPAddressConfiguration={"provision": "usermanaged", "ipAddressIds": ["x"]}), "ipAddressIds"),
    (nat(NAT, publicIPAddressConfiguration={"provision": "nopublicipaddresses"}), "endpointConfiguration"),
    (nat(*[NAT | {"name": f"n{i}"} for i in range(6)]), "inboundNATPools"),
    (nat(NAT, NAT | {"name": "SSH", "backendPort": 23}), "inboundNATPools"),
    (nat(NAT, NAT | {"name": "b"}), "inboundNATPools"),
    (nat(NAT | {"name": "-x"}), "name"),
    (nat(NAT | {"name": "x."}), "name"),
    (nat(NAT | {"name": "x" * 78}), "name"),
    (nat(NAT | {"backendPort": 29876}), "backendPort"),
    (nat(NAT | {"backendPort": 0}), "backendPort"),
    (nat(NAT | {"frontendPortRangeEnd": 1038}), "frontendPortRangeEnd"),
    (nat(NAT | {"frontendPortRangeStart": 49000, "frontendPortRangeEnd": 50000}), "frontendPortRangeStart"),
    (nat(NAT | {"frontendPortRangeStart": 65000, "frontendPortRangeEnd": 65535}), "frontendPortRangeEnd"),
    (nat(NAT, NAT | {"name": "b", "backendPort": 23, "frontendPortRangeStart": 1039,
                     "frontendPortRangeEnd": 1100}), "frontendPortRangeStart"),
    (nat(NAT | {"networkSecurityGroupRules": [RULE | {"priority": 149}]}), "priority"),
    (nat(NAT | {"networkSecurityGroupRules": [RULE, RULE]}), "networkSecurityGroupRules"),
    (nat(NAT | {"networkSecurityGroupRules": [RULE | {"priority": 150 + i} for i in range(26)]}), "inboundNATPools"),
    (machine(windowsConfiguration={}), "windowsConfiguration"),
    (machine(licenseType="Windows_Server"), "licenseType"),
    (machine(dataDisks=[{"lun": 64, "diskSizeGB": 1}]), "lun"),
    (machine(dataDisks=[{"lun": 1, "diskSizeGB": 1}, {"lun": 1, "diskSizeGB": 1}]), "lun"),
    (machine(dataDisks=[{"lun": 1, "diskSizeGB": 0}]), "diskSizeGB"),
    (machine(osDisk={"diskSizeGB": 0}), "diskSizeGB"),
    (machine(extensions=[{"name": "a"}, {"name": "A"}]), "extensions"),
    (machine(extensions=[{"name": "a", "provisionAfterExtensions": ["a"]}]), "provisionAfterExtensions"),
    (rolling(maxBatchInstancePercent=4), "maxBatchInstancePercent"),
    (rolling(maxUnhealthyUpgradedInstancePercent=101), "maxUnhealthyUpgradedInstancePercent"),
    (rolling(maxBatchInstancePercent=21, maxUnhealthyInstancePercent=20), "maxBatchInstancePercent"),
    (rolling(enableCrossZoneUpgrade=False), "enableCrossZoneUpgrade"),
    ({"userAccounts": [{"name": "a"}, {"name": "a"}]}, "userAccounts/name"),
    ({"userAccounts": [{"name": "a", "linuxUserConfiguration": {"uid": 1}}]}, "linuxUserConfiguration"),
    ({"userAccounts": [{"name": "a", "windowsUserConfiguration": {}}]}, "windowsUserConfiguration"),
    ({"mountConfiguration": [{"azureBlobFileSystemConfiguration": BLOB}]}, "azureBlobFileSystemConfiguration"),
    ({"mountConfiguration": [{"azureBlobFileSystemConfiguration": BLOB | {"accountKey": "k", "sasKey": "s"}}]},
     "azureBlobFileSystemConfiguration"),
    ({"mountConfiguration": [{"nfsMountConfiguration": {"source": "x", "relativeMountPath": "/x"}}]},
     "relativeMountPath"),
    ({"mountConfiguration": [{"nfsMountConfiguration": {"source": "x", "relativeMountPath": path}} for path in "aba"]},
     "relativeMountPath"),
    ({"mountConfiguration": [{}] * 11}, "mountConfiguration"),
]  # fmt: skip


@pytest.mark.parametrize("spec", GOOD)
def test_good(spec):
    check_properties(copy.deepcopy(spec))


@pytest.mark.parametrize(("spec", "name"), BAD)
def test_bad(spec, name):
    with pytest.raises(BatchError) as caught:
        check_properties(copy.deepcopy(spec))
    details = dict(caught.value.values)
    assert (caught.value.code, caught.value.status) == ("InvalidPropertyValue", 400)
    assert details["PropertyName"].endswith(name), details


def test_the_default_caching_of_data_disks():
    spec = machine(dataDisks=[{"lun": 1, "diskSizeGB": 1}])
    check_properties(spec)
    assert spec["virtualMachineConfiguration"]["dataDisks"][0]["caching"] == "readwrite"
