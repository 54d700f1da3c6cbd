"""The quotas of a Batch account. The Batch service does not tell them; Azure Resource Manager does, to logins alone.

https://learn.microsoft.com/rest/api/batchmanagement/batch-account/list and
https://learn.microsoft.com/rest/api/batchmanagement/location/list-supported-virtual-machine-skus
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from snakemake.azure.batch.account import BatchAccount
from snakemake.azure.batch.vm_sizes import VmSize
from snakemake.azure.login import cloud_of, login
from snakemake.azure.wire import is_loopback

SUBSCRIPTIONS = "2022-12-01"
BATCH = "2024-07-01"
TIMEOUT = 30.0  # seconds
# https://learn.microsoft.com/azure/azure-government/documentation-government-developer-guide and
# https://learn.microsoft.com/azure/china/resources-developer-guide
_MANAGERS = {
    "": "https://management.azure.com",
    ".chinacloudapi.cn": "https://management.chinacloudapi.cn",
    ".usgovcloudapi.net": "https://management.usgovcloudapi.net",
}


@dataclass(frozen=True)
class Quotas:
    """What an account may have; None for no limit, or where it is not told. `families` are dedicated cores by family of
    sizes, where these are held, and `sizes` the sizes that the region offers, with their families; both in lower case.
    """

    dedicated: int | None = None
    spot: int | None = None
    pools: int | None = None
    jobs: int | None = None
    families: Mapping[str, int] | None = None
    sizes: Mapping[str, str] = field(default_factory=dict)

    def problem(self, size: VmSize, nodes: int, pools: int, jobs: int) -> str | None:
        """Why the account can't have so many nodes of the size, pools and active jobs at once, in one sentence."""
        cores = nodes * size.vcpus
        way_out = "ask for quota in the portal"
        if self.pools is not None and pools > self.pools:
            return f"The Batch account may have {self.pools} pools, and a run adds one: delete some, or {way_out}."
        if self.jobs is not None and jobs > self.jobs:
            return f"The Batch account may have {self.jobs} active jobs, and a run adds one: delete some, or {way_out}."
        if self.sizes and size.name.lower() not in self.sizes:
            return f"The region of the Batch account does not offer {size.name}: set --az-batch-vm-size."
        if self.dedicated is not None and cores > self.dedicated:
            return (
                f"The Batch account has a quota of {self.dedicated} dedicated cores, and one node of {size.name} has "
                f"{size.vcpus}: {way_out}, or set --az-batch-vm-size to a smaller size."
            )
        own = self.of_family(size)
        if own is not None and cores > own:
            return (
                f"The Batch account has a quota of {own} dedicated cores for the family of {size.name}: {way_out}, or "
                "set --az-batch-vm-size to a size of another family."
            )
        return None

    def of_family(self, size: VmSize) -> int | None:
        """Dedicated cores that the size's family may have; None for no limit of its own."""
        family = self.sizes.get(size.name.lower())
        return None if self.families is None or family is None else self.families.get(family, 0)

    def summary(self, size: VmSize) -> str:
        own = self.of_family(size)
        limits = [
            f"{_number(self.dedicated)} dedicated cores"
            + ("" if own is None else f", {own} of the size's family"),
            f"{_number(self.spot)} Spot cores",
            f"{_number(self.pools)} pools",
            f"{_number(self.jobs)} active jobs",
        ]
        return f"it may have {', '.join(limits)}"


def _number(limit: int | None) -> str:
    return "unlimited" if limit is None else f"{limit:,}"


def find(account: BatchAccount) -> Quotas | None:
    """The account's quotas, looked for in all subscriptions of the login; None where it may not see the account."""
    import requests
    from azure.core.exceptions import ClientAuthenticationError

    url = manager(account.endpoint)
    try:
        audience = _MANAGERS[cloud_of(account.endpoint).end]
        token = login(account.endpoint).get_token(f"{audience}/.default")
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {token.token}"
            return _find(session, url, account)
    except (requests.RequestException, ValueError, ClientAuthenticationError):
        return None


def manager(endpoint: str) -> str:
    """Azure Resource Manager of the cloud that a Batch account is in; the emulator is its own."""
    return endpoint if is_loopback(endpoint) else _MANAGERS[cloud_of(endpoint).end]


def _find(session: Any, url: str, account: BatchAccount) -> Quotas | None:
    host = urlsplit(account.endpoint).netloc.lower()
    for subscription in _items(session, f"{url}/subscriptions", SUBSCRIPTIONS):
        base = f"{url}/subscriptions/{subscription['subscriptionId']}/providers/Microsoft.Batch"
        for found in _items(session, f"{base}/batchAccounts", BATCH):
            properties = found["properties"]
            if properties.get("accountEndpoint", "").lower().removeprefix("https://") == host:
                skus = _items(session, f"{base}/locations/{found['location']}/virtualMachineSkus", BATCH)
                return _quotas(properties, {s["name"].lower(): s.get("familyName", "").lower() for s in skus})
    return None


def _quotas(properties: Mapping[str, Any], sizes: Mapping[str, str]) -> Quotas:
    held = properties.get("dedicatedCoreQuotaPerVMFamilyEnforced")
    families = {
        f["name"].lower(): f["coreQuota"] for f in properties.get("dedicatedCoreQuotaPerVMFamily") or []
    }
    return Quotas(
        properties.get("dedicatedCoreQuota"),
        properties.get("lowPriorityCoreQuota"),
        properties.get("poolQuota"),
        properties.get("activeJobAndJobScheduleQuota"),
        families if held else None,
        sizes,
    )


def _items(session: Any, url: str, version: str) -> Iterator[dict]:
    """All pages of a list; a RequestException where it may not be seen."""
    after: str | None = f"{url}?api-version={version}"
    while after:
        answer = session.get(after, timeout=TIMEOUT)
        answer.raise_for_status()
        body = answer.json()
        yield from body.get("value", ())
        after = body.get("nextLink")
