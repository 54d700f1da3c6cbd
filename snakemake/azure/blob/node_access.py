"""What tasks are given to reach their blobs: a SAS for each container of the workflow, in environment variables.

- From an account key: a SAS bound to a stored access policy, which has the run's name. `revoke` deletes the policy at
  the run's end, and the SAS with it. Where a container has no room for a policy, a SAS that ends by itself.
- With an Entra ID login: a user delegation SAS, which ends by itself, after 7 days at the latest.
- A SAS of the user's own is passed on as it is.

A SAS reads and lists, and writes only in containers that the workflow writes to. None of them can make or delete a
container, so a container to be written is made here, beforehand. The key never leaves the client.

One container's SAS travels in the account's URL, those of several as JSON in AZ_BLOB_CONTAINER_SAS beside the bare
URL. Both are variables of the Batch job, which cannot be changed once it is there. Tasks that need a container which
the workflow named later, as after a checkpoint, bring the variables along.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from snakemake.azure.blob import policies
from snakemake.azure.blob.account import ACCOUNT_URL, CONTAINER_SAS, TAGGED_URLS, BlobAccount
from snakemake.azure.blob.errors import BlobError, error_code, explain, explained
from snakemake.azure.blob.names import SCHEME
from snakemake.azure.blob.sas import READ, WRITE, ContainerSas
from snakemake.azure.blob.service import connect

# https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
USER_DELEGATION_LIMIT = timedelta(days=7)
# A SAS begins this much earlier than now, since clocks differ; that it says when it begins is what an account's SAS
# expiration policy asks for: https://learn.microsoft.com/azure/storage/common/sas-expiration-policy
CLOCK_SKEW = timedelta(minutes=15)
# Seconds that a new policy may take to be in force ("up to 30").
POLICY_DELAY = 45.0


@dataclass(frozen=True)
class Use:
    """A storage account that tasks need, under the tag of its storage provider, None for the default one.

    `containers` tells those that the workflow has named up to now, and of each whether it is written to.
    """

    account: BlobAccount
    containers: Callable[[], Mapping[str, bool]]
    tag: str | None = None


@dataclass
class _Access:
    """One account, and what tasks may do there: the SAS by container, and whether it writes."""

    account: BlobAccount
    sas: dict[str, str] = field(default_factory=dict)
    writes: dict[str, bool] = field(default_factory=dict)
    policies: set[str] = field(default_factory=set)
    delegation: "tuple[Any, datetime] | None" = None
    """A user delegation key, and when it ends."""


class NodeAccess:
    """What the tasks of one run may do in Blob Storage, from `environment` until `revoke`.

    run_id: names the stored access policies, so that whoever knows the run can end its access; now: the time in UTC;
    lifetime: of a SAS; warn: gets a sentence on what can't be withdrawn.
    """

    def __init__(
        self,
        run_id: str,
        uses: Sequence[Use],
        now: Callable[[], datetime],
        lifetime: timedelta,
        warn: Callable[[str], None],
    ):
        self.run_id = run_id
        self.uses = uses
        self.now = now
        self.lifetime = lifetime
        self.warn = warn
        self._accounts: dict[str, _Access] = {}
        self._lock = threading.Lock()
        self._first: dict[str, str] = {}
        self._now: dict[str, str] = {}

    def environment(self) -> dict[str, str]:
        """The variables that give tasks access to the containers that the workflow had named when it was first called.

        Raises BlobError. What was made until then is for `revoke` to delete.
        """
        with self._lock:
            if not self._first:
                self._grant()
                self._first = self._now
            return dict(self._first)

    def further(self) -> dict[str, str]:
        """The variables that a task needs in place of `environment`; none, if no container was named since.

        Raises BlobError.
        """
        first = self.environment()
        with self._lock:
            self._grant()
            return {} if self._now == first else dict(self._now)

    def revoke(self) -> bool:
        """Deletes the run's stored access policies; whether there were any. Raises BlobError."""
        found = False
        with self._lock:
            accounts = list(self._accounts.values())
        for access in accounts:
            for container in sorted(access.policies):
                found = revoke(access.account, container, self.run_id) or found
                access.policies.discard(container)
        return found

    def _grant(self) -> None:
        fresh: list[tuple[_Access, str]] = []
        for use in self.uses:
            if use.account.sas:
                continue
            access = self._accounts.setdefault(use.account.url, _Access(use.account))
            for container, writes in sorted(use.containers().items()):
                if container not in access.sas or (writes and not access.writes[container]):
                    access.writes[container] = writes
                    self._sign(access, container)
                    fresh.append((access, container))
        for access, container in fresh:
            patience = POLICY_DELAY if container in access.policies else 0.0
            trial = f"{self.run_id}.trial" if access.writes[container] else None
            _try(access.account, container, access.sas[container], trial, patience)
        if fresh or not self._now:
            self._now = self._variables()

    def _sign(self, access: _Access, container: str) -> None:
        account, writes = access.account, access.writes[container]
        if writes:
            _make_container(account, container)
        if account.key:
            access.sas[container] = self._by_key(access, container)
            return
        access.sas[container] = self._by_login(access, container)

    def _by_key(self, access: _Access, container: str) -> str:
        account, key = access.account, access.account.key or ""
        start, end = self.now() - CLOCK_SKEW, self.now() + self.lifetime
        permissions = WRITE if access.writes[container] else READ
        access.policies.add(container)  # before it is stored: the answer may not come
        with connect(account) as service:
            try:
                client = service.get_container_client(container)
                with explained(account, f"{SCHEME}{container}"):
                    policies.store(client, self.run_id, permissions, start, end, self.now())
                return ContainerSas(account.name, container, _protocol(account), policy=self.run_id).by_key(
                    key
                )
            except policies.NoRoom as why:
                self.warn(
                    f"The SAS of this run's tasks for the container {container} cannot be withdrawn at the run's end, "
                    f"and lasts until {end:%Y-%m-%d %H:%M} UTC: {why}. A lower --az-batch-sas-hours shortens its life."
                )
            except BlobError as error:
                if (
                    error.code != "ContainerNotFound"
                ):  # nothing to read there yet, and nothing to be kept from
                    raise
        access.policies.discard(container)
        return ContainerSas(account.name, container, _protocol(account), permissions, start, end).by_key(key)

    def _by_login(self, access: _Access, container: str) -> str:
        account, start = access.account, self.now() - CLOCK_SKEW
        if access.delegation is None:
            end = start + USER_DELEGATION_LIMIT
            with connect(account) as service, explained(account, f"{SCHEME}{container}"):
                access.delegation = service.get_user_delegation_key(start, end), end
        key, limit = access.delegation
        end = min(self.now() + self.lifetime, limit)
        permissions = WRITE if access.writes[container] else READ
        return ContainerSas(
            account.name, container, _protocol(account), permissions, start, end
        ).by_delegation(key)

    def _variables(self) -> dict[str, str]:
        urls = {use.tag: self._url(use.account) for use in self.uses}
        several = {url: a.sas for url, a in self._accounts.items() if len(a.sas) != 1}
        tagged = [f"{tag}::{url}" for tag, url in sorted((t, u) for t, u in urls.items() if t is not None)]
        variables = {ACCOUNT_URL: urls[None]} if None in urls else {}
        if several:
            variables[CONTAINER_SAS] = json.dumps(several)
        if tagged:
            # The one that Snakemake reads the providers' setting `account_url` from.
            variables[TAGGED_URLS] = json.dumps(tagged)
        return variables

    def _url(self, account: BlobAccount) -> str:
        """The account's URL, with the SAS where there is one for all that is used there."""
        if account.sas:
            return f"{account.url}?{account.sas}"
        each = list(self._accounts[account.url].sas.values())
        return f"{account.url}?{each[0]}" if len(each) == 1 else account.url


def revoke(account: BlobAccount, container: str, run_id: str) -> bool:
    """Ends what the tasks of the run may do in the container, also for a run whose client is gone; False if there is no
    policy of it. Raises BlobError.
    """
    what = f"{SCHEME}{container}"
    with connect(account) as service, explained(account, what):
        try:
            return policies.delete(service.get_container_client(container), run_id)
        except policies.NoRoom as why:
            raise BlobError(f"{what}: the stored access policy {run_id} cannot be deleted: {why}.") from None


def _protocol(account: BlobAccount) -> str:
    return "https" if account.url.startswith("https:") else "https,http"


def _make_container(account: BlobAccount, container: str) -> None:
    """A task cannot, with a SAS for the container."""
    from azure.core.exceptions import ResourceExistsError

    with connect(account) as service, explained(account, f"{SCHEME}{container}"):
        client = service.get_container_client(container)
        if not client.exists():
            try:
                client.create_container()
            except ResourceExistsError:
                return


def _try(account: BlobAccount, container: str, sas: str, trial: str | None, patience: float) -> None:
    """Does with the SAS what tasks will do, before anything is made that costs money: lists, and stores and deletes an
    empty blob of the name `trial`.

    Tasks of a pool that is there already begin at once, and a new policy is in force after up to 30 seconds only: a
    refusal counts after `patience` seconds. Raises BlobError.
    """
    from azure.core.exceptions import HttpResponseError

    began = time.monotonic()
    given = BlobAccount(account.url, account.name, sas=sas, source=account.source)
    with connect(given) as service:
        client = service.get_container_client(container)
        while True:
            try:
                next(client.list_blobs(results_per_page=1).by_page(), None)
                if trial is not None:
                    client.upload_blob(trial, b"", length=0, overwrite=True)
                    client.delete_blob(trial)
                return
            except HttpResponseError as error:
                if error_code(error) == "ContainerNotFound" and trial is None:
                    return  # nothing to read there yet
                if error.status_code != 403:
                    raise explain(error, given, f"{SCHEME}{container}") from None
                if time.monotonic() - began >= patience:
                    raise _refused(account, container, error_code(error)) from None
            time.sleep(1.0)


def _refused(account: BlobAccount, container: str, code: str) -> BlobError:
    way_out = (
        "the account may take no SAS made from its keys, or only such as its policies allow: `az login` and unset "
        "AZ_BLOB_ACCOUNT_KEY, or put a SAS of your own into AZ_BLOB_ACCOUNT_URL."
        if account.key
        else "it may do what this login may: give it the role `Storage Blob Data Contributor` on the account or the "
        "container, which takes some minutes to work."
    )
    return BlobError(
        f"{SCHEME}{container}: the SAS that this run's tasks would get is refused ({code}); {way_out}",
        403,
        code,
    )
