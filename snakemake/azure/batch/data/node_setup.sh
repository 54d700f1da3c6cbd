#!/bin/bash
# Prepares the disks of a node of Azure Batch before it takes tasks: node_setup.sh data|nodata os|temp|data
# Runs as root, and again after each reboot. Disks of what is not Azure's own machine are left alone.
set -euo pipefail

wants_data_disk=$1 docker_on=$2
root=${AZ_BATCH_NODE_ROOT_DIR:?}
data=/srv/snakemake-data

case $root in
    /mnt/batch/tasks | /mnt/resource/batch/tasks | /opt/batch/data/*) ;;
    *) echo "No node of Azure ($root): its disks stay as they are."; exit 0 ;;
esac
if [ ! -d /var/lib/waagent ]; then
    echo "No machine of Azure: its disks stay as they are."
    exit 0
fi

# The data disk, by its logical unit number; it may come after the node.
data_disk() {
    for _ in $(seq 120); do
        for link in /dev/disk/azure/data/by-lun/0 /dev/disk/azure/scsi1/lun0; do
            if [ -b "$link" ]; then
                readlink -f "$link"
                return
            fi
        done
        sleep 1
    done
    echo "The node's data disk (LUN 0) did not appear within two minutes." >&2
    return 1
}

# Puts the directory $1 onto the disk, at $2, with what is in it.
put_on_disk() {
    mountpoint -q "$1" && return
    if [ ! -d "$1" ]; then
        mkdir -p "$1"
        chown --reference="$root/startup" "$1"
        chmod --reference="$root/startup" "$1"
    fi
    if [ ! -d "$2" ]; then
        cp -a "$1" "$2.partial"
        mv "$2.partial" "$2"
    fi
    mount --bind "$2" "$1"
}

if [ "$wants_data_disk" = data ]; then
    disk=$(data_disk)
    blkid "$disk" > /dev/null || mkfs.ext4 -q -F -m 0 "$disk"
    mkdir -p "$data"
    mountpoint -q "$data" || mount "$disk" "$data"
    put_on_disk "$root/workitems" "$data/workitems"
    put_on_disk "$root/shared" "$data/shared"
fi

case $docker_on in
    data) place=$data ;;
    temp) place=$(dirname "$root")/snakemake-docker ;;
    *) exit 0 ;;
esac
if ! command -v docker > /dev/null || ! command -v systemctl > /dev/null; then
    echo "There is no Docker under systemd on this image: its data stays where it is."
    exit 0
fi
docker_root=$(docker info --format '{{.DockerRootDir}}')
mkdir -p "$place"
if [ "$(stat -c %d "$docker_root")" = "$(stat -c %d "$place")" ]; then
    echo "Docker's data is on that disk already."
    exit 0
fi
# Images may be in the one or the other, by Docker's version.
systemctl stop docker.socket docker containerd || true
put_on_disk "$docker_root" "$place/docker"
[ ! -d /var/lib/containerd ] || put_on_disk /var/lib/containerd "$place/containerd"
if ! systemctl start containerd docker; then
    echo "Docker does not start with its data on another disk: it goes back." >&2
    umount "$docker_root" /var/lib/containerd || true
    systemctl start containerd docker
fi
docker info --format 'Docker uses {{.DockerRootDir}}, and its disk now is:'
df -h "$docker_root"
