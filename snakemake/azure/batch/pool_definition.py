"""What a pool's nodes are made of, beside their VM size, image and slots, and the request that makes such a pool.

A definition has a digest, by which a pool says in its metadata what it was made of: whoever wants such a pool finds it
by that. https://learn.microsoft.com/rest/api/batchservice/pools/create-pool
"""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from snakemake.azure.batch.node_setup import command_line
from snakemake.azure.image.private_registry import PrivateRegistry

if TYPE_CHECKING:
    from azure.batch import models

    from snakemake.azure.batch.os_images import OsImage

DEFINITION = "snakemake-definition"
"""The metadata with a pool's digest."""


@dataclass(frozen=True)
class TaskUser:
    """Whom tasks run as: Batch's user of the pool, `root`, or one of this name, with these numbers if there are any."""

    name: str = ""
    uid: int | None = None
    gid: int | None = None

    def identity(self) -> "models.UserIdentity":
        """https://learn.microsoft.com/azure/batch/batch-user-accounts"""
        from azure.batch import models

        return models.UserIdentity(self.wire())

    def wire(self) -> dict[str, Any]:
        """The same as it goes over the wire, which tasks are made of."""
        if self.name not in ("", "root"):
            return {"username": self.name}
        return {
            "autoUser": {"scope": "pool", "elevationLevel": "admin" if self.name == "root" else "nonadmin"}
        }

    def account(self) -> "models.UserAccount | None":
        """The account that a pool needs for it; nobody ever logs in with its password."""
        from azure.batch import models

        if self.name in ("", "root"):
            return None
        linux = models.LinuxUserConfiguration(uid=self.uid, gid=self.gid) if self.uid is not None else None
        return models.UserAccount(
            name=self.name,
            password=secrets.token_urlsafe(32),
            elevation_level=models.ElevationLevel.NON_ADMIN,
            linux_user_configuration=linux,
        )


POOL_USER = TaskUser()


@dataclass(frozen=True)
class Mount:
    """A file system at `path` below the nodes' directory of mounts: an export of NFS (`server:/export`), or a
    container of a storage account, with an identity or one of the account's secrets, which are never printed.

    https://learn.microsoft.com/azure/batch/virtual-file-mount
    """

    path: str
    nfs: str = ""
    account: str = ""
    container: str = ""
    identity: str = ""
    key: str = field(default="", repr=False)
    sas: str = field(default="", repr=False)

    def configuration(self) -> "models.MountConfiguration":
        from azure.batch import models

        if self.nfs:
            nfs = models.NfsMountConfiguration(source=self.nfs, relative_mount_path=self.path)
            return models.MountConfiguration(nfs_mount_configuration=nfs)
        blobs = models.AzureBlobFileSystemConfiguration(
            account_name=self.account,
            container_name=self.container,
            relative_mount_path=self.path,
            account_key=self.key or None,
            sas_key=self.sas or None,
            identity_reference=_reference(self.identity),
        )
        return models.MountConfiguration(azure_blob_file_system_configuration=blobs)


def _reference(identity: str) -> "models.BatchNodeIdentityReference | None":
    from azure.batch import models

    return models.BatchNodeIdentityReference(resource_id=identity) if identity else None


@dataclass(frozen=True)
class PoolDefinition:
    """`identities` are resource ids, disks are in GB, `docker_data` is `os`, `temp` or `data`, and `start_script` the
    user's own."""

    registry: PrivateRegistry | None = None
    identities: tuple[str, ...] = ()
    user: TaskUser = POOL_USER
    subnet_id: str = ""
    public_ip: bool = True
    os_disk: int | None = None
    data_disk: int | None = None
    docker_data: str = "os"
    start_script: str = ""
    mounts: tuple[Mount, ...] = ()

    def digest(self, vm_size: str, slots: int, image: str, os_image: "OsImage | None") -> str:
        """16 hexadecimal digits that are the same for pools which are made of the same, whoever asks."""
        parts: list[Any] = [
            vm_size.lower(),
            slots,
            image,
            os_image.name if os_image else "",
            self.registry.fingerprint() if self.registry else "",
            sorted(identity.lower() for identity in self.identities),
            [self.user.name, self.user.uid, self.user.gid],
            [self.subnet_id.lower(), self.public_ip],
            [self.os_disk, self.data_disk, self.docker_data],
            self.start_script,
            [[m.path, m.nfs, m.account, m.container, m.identity.lower()] for m in self.mounts],
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


PLAIN = PoolDefinition()


def create_options(
    id: str,
    vm_size: str,
    slots: int,
    image: str,
    os_image: "OsImage",
    definition: PoolDefinition,
    metadata: "list[tuple[str, str]]",
    formula: str,
    interval: timedelta,
) -> "models.BatchPoolCreateOptions":
    """The request body: a pool that scales by the formula, with nodes that pull the image before they take tasks.

    https://learn.microsoft.com/azure/batch/batch-docker-container-workloads
    """
    from azure.batch import models

    account = definition.user.account()
    return models.BatchPoolCreateOptions(
        id=id,
        display_name="Snakemake",
        vm_size=vm_size,
        virtual_machine_configuration=_machine(image, os_image, definition),
        enable_auto_scale=True,
        auto_scale_formula=formula,
        auto_scale_evaluation_interval=interval,
        task_slots_per_node=slots,
        task_scheduling_policy=models.BatchTaskSchedulingPolicy(node_fill_type=models.BatchNodeFillType.PACK),
        network_configuration=_network(definition),
        user_accounts=[account] if account else None,
        start_task=_start_task(definition),
        mount_configuration=[mount.configuration() for mount in definition.mounts] or None,
        metadata=[models.BatchMetadataItem(name=name, value=value) for name, value in metadata] or None,
    )


def _machine(
    image: str, os_image: "OsImage", definition: PoolDefinition
) -> "models.VirtualMachineConfiguration":
    from azure.batch import models

    data = models.DataDisk(logical_unit_number=0, disk_size_gb=definition.data_disk or 0)
    return models.VirtualMachineConfiguration(
        image_reference=models.BatchVmImageReference(
            publisher=os_image.publisher, offer=os_image.offer, sku=os_image.sku, version=os_image.version
        ),
        node_agent_sku_id=os_image.node_agent_sku_id,
        container_configuration=models.BatchContainerConfiguration(
            type=models.ContainerType.DOCKER_COMPATIBLE,
            container_image_names=[image],
            container_registries=[_registry(definition.registry)] if definition.registry else None,
        ),
        os_disk=models.BatchOsDisk(disk_size_gb=definition.os_disk) if definition.os_disk else None,
        data_disks=[data] if definition.data_disk else None,
    )


def _registry(registry: PrivateRegistry) -> "models.ContainerRegistryReference":
    from azure.batch import models

    login = registry.login
    return models.ContainerRegistryReference(
        registry_server=registry.server,
        username=login.username if login else None,
        password=login.password if login else None,
        identity_reference=_reference(registry.identity),
    )


def _network(definition: PoolDefinition) -> "models.NetworkConfiguration | None":
    from azure.batch import models

    if not definition.subnet_id and definition.public_ip:
        return None
    addresses = None
    if not definition.public_ip:
        addresses = models.BatchPublicIpAddressConfiguration(
            ip_address_provisioning_type=models.IpAddressProvisioningType.NO_PUBLIC_IP_ADDRESSES
        )
    return models.NetworkConfiguration(
        subnet_id=definition.subnet_id or None, public_ip_address_configuration=addresses
    )


def _start_task(definition: PoolDefinition) -> "models.BatchStartTask | None":
    """As root, once for all tasks of the node, which waits for it."""
    from azure.batch import models

    command = command_line(definition.data_disk is not None, definition.docker_data, definition.start_script)
    if command is None:
        return None
    return models.BatchStartTask(
        command_line=command,
        user_identity=TaskUser("root").identity(),
        wait_for_success=True,
        max_task_retry_count=1,
    )
