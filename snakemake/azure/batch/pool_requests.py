"""The requests about pools, their nodes, and what pools are made of."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from snakemake.azure.batch.connection import Connection
from snakemake.azure.batch.errors import BatchError

if TYPE_CHECKING:
    from azure.batch.models import BatchNode, BatchPool, BatchPoolCreateOptions, BatchSupportedImage

Scaled = Literal["done", "too early", "gone"]
"""What became of a request to scale a pool; "gone": there is no such pool any more."""

RESIZE_TIMEOUT = timedelta(minutes=15)
"""Of a removal: the default of pools. It is the pool's from then on, and a shorter one would end later resizes before
their nodes have come. https://learn.microsoft.com/rest/api/batchservice/pools/get-pool#batchpool"""

NODE_PROPERTIES = [
    "id",
    "state",
    "stateTransitionTime",
    "errors",
    "startTaskInfo",
    "isDedicated",
    "allocationTime",
    "runningTaskSlotsCount",
]
"""What a run asks of its nodes."""


class PoolRequests(Connection):
    """https://learn.microsoft.com/rest/api/batchservice/pools"""

    def supported_images(self) -> list["BatchSupportedImage"]:
        """All OS images that pools may use. As the first request of a run it also tells whether the account
        is there and takes the credential."""
        with self._explained("list the supported OS images"):
            return list(self.client.list_supported_images())

    def find_account(self) -> None:
        """Looks the account up where pools with an identity are made, which asks for the login and the subscription."""
        with self._explained("look up the Batch account", by_resource_manager=True):
            _ = self.resource_manager.place

    def create_pool(self, pool: "BatchPoolCreateOptions", identities: Sequence[str] = ()) -> str:
        """Ids are of one run alone: a pool that exists was made by a request whose answer was lost. With `identities`
        (resource ids), Azure Resource Manager makes it; returns the client id of the first."""
        self._note_made(pool.id)
        if identities:
            with self._explained(f"create the pool {pool.id}", by_resource_manager=True):
                client_id = self.resource_manager.create_pool(pool.as_dict(), identities)
            self._note_made(pool.id)
            return client_id
        with self._forgiving("PoolExists", "PoolBeingCreated"), self._explained(f"create the pool {pool.id}"):
            self.client.create_pool(pool)
        self._note_made(pool.id)
        return ""

    def get_pool(self, pool_id: str) -> "BatchPool":
        """Fails with the status 404 if there is none."""

        def get() -> "BatchPool":
            with self._explained(f"look up the pool {pool_id}"):
                return self.client.get_pool(pool_id)

        return self._settled(pool_id, get)

    def list_pools(self) -> list["BatchPool"]:
        """All pools of the account."""
        with self._explained("list the pools"):
            return list(self.client.list_pools())

    def scale_pool(self, pool_id: str, formula: str, interval: timedelta) -> Scaled:
        """Gives the pool a formula to scale by, and the interval of its evaluations."""
        from azure.batch.models import BatchPoolEnableAutoScaleOptions

        options = BatchPoolEnableAutoScaleOptions(
            auto_scale_formula=formula, auto_scale_evaluation_interval=interval
        )
        try:
            # Tried again by whoever keeps the lease: "once in 30 seconds" is a 503 as well.
            with self.service.patience.no_longer_than(0), self._explained(f"scale the pool {pool_id}"):
                self.client.enable_pool_auto_scale(pool_id, options)
        except BatchError as e:
            if e.code in ("TooManyEnableAutoScaleRequests", "PoolBeingResized", "PoolBeingCreated"):
                return "too early"
            if e.status == 404 or e.code == "PoolBeingDeleted":
                return "gone"
            raise
        return "done"

    def glance_at_pool(self, pool_id: str) -> "BatchPool | None":
        """The pool as it is now, without a second try; None if it is not found."""
        try:
            with self.service.patience.no_longer_than(0), self._explained(f"look up the pool {pool_id}"):
                return self.client.get_pool(pool_id)
        except BatchError as e:
            if e.status == 404:
                return None
            raise

    def stop_scaling(self, pool_id: str) -> bool:
        """Takes the pool's formula away; False if there is no such pool. Tried again by whoever gives it back.

        https://learn.microsoft.com/rest/api/batchservice/pools/disable-pool-auto-scale
        """
        try:
            with self.service.patience.no_longer_than(0), self._explained(f"stop scaling the pool {pool_id}"):
                self.client.disable_pool_auto_scale(pool_id)
        except BatchError as e:
            if e.status == 404 or e.code == "PoolBeingDeleted":
                return False
            raise
        return True

    def remove_nodes(self, pool_id: str, node_ids: Sequence[str]) -> bool:
        """Starts to remove nodes (at most 100) from a pool that no formula sizes; tasks there, if any, run elsewhere.
        False if not now, as the pool is being resized. One that is not found was removed by a request whose answer was
        lost; if another one was not, the next look shows it.

        https://learn.microsoft.com/rest/api/batchservice/pools/remove-nodes
        """
        from azure.batch import models

        options = models.BatchNodeRemoveOptions(
            node_ids=list(node_ids),
            resize_timeout=RESIZE_TIMEOUT,
            node_deallocation_option=models.BatchNodeDeallocationOption.REQUEUE,
        )
        try:
            with (
                self.service.patience.no_longer_than(0),
                self._explained(f"remove nodes of the pool {pool_id}"),
            ):
                self.client.begin_remove_nodes(pool_id, options, polling_interval=3600)
        except BatchError as e:
            if e.code == "NodeNotFound":
                return True
            if e.status in (404, 409):
                return False
            raise
        return True

    def try_formula(self, pool_id: str, formula: str) -> str:
        """What the service has against a formula for this pool, which it evaluates without doing what that says; empty
        where it has nothing. That there are no samples yet is nobody's fault.

        https://learn.microsoft.com/rest/api/batchservice/pools/evaluate-pool-auto-scale
        """
        from azure.batch.models import BatchPoolEvaluateAutoScaleOptions

        def evaluate() -> Any:
            with self._explained(f"evaluate the formula for the pool {pool_id}"):
                return self.client.evaluate_pool_auto_scale(
                    pool_id, BatchPoolEvaluateAutoScaleOptions(auto_scale_formula=formula)
                )

        try:
            error = self._settled(pool_id, evaluate).error
        except BatchError as e:
            if e.code.startswith("AutoScalingFormula"):
                return str(e)
            raise
        if error is None or error.code == "InsufficientSampleData":
            return ""
        details = "; ".join(str(v.value) for v in error.error_values or [] if v.value)
        return f"{error.code}: {details or error.message}"

    def set_metadata(self, pool: "BatchPool", metadata: Mapping[str, str]) -> bool:
        """Gives the pool this metadata unless anything of it has changed since `pool` was read, or it is gone;
        whether it did.

        https://learn.microsoft.com/rest/api/batchservice/pools/update-pool
        """
        from azure.batch import models

        items = [models.BatchMetadataItem(name=name, value=value) for name, value in metadata.items()]
        return self._unless_changed(
            f"change the metadata of the pool {pool.id}",
            lambda **condition: self.client.update_pool(
                pool.id, models.BatchPoolUpdateOptions(metadata=items), **condition
            ),
            pool,
        )

    def delete_unchanged(self, pool: "BatchPool") -> bool:
        """Deletes the pool unless anything of it has changed since it was read; whether it did."""
        return self._unless_changed(
            f"delete the pool {pool.id}",
            lambda **condition: self.client.begin_delete_pool(pool.id, polling_interval=3600, **condition),
            pool,
        )

    def _unless_changed(self, doing: str, act: Callable[..., Any], pool: "BatchPool") -> bool:
        from azure.core import MatchConditions

        try:
            with self._explained(doing):
                act(etag=pool.etag, match_condition=MatchConditions.IfNotModified)
        except BatchError as e:
            if e.status in (404, 409, 412):
                return False
            raise
        return True

    def delete_pool(self, pool_id: str) -> bool:
        """Starts the deletion; a pool that is going is fine. False if there is none."""
        return self._delete(
            f"delete the pool {pool_id}",
            lambda: self.client.begin_delete_pool(pool_id, polling_interval=3600),
            "PoolBeingDeleted",
        )

    def list_nodes(self, pool_id: str) -> list["BatchNode"]:
        """The nodes of the pool, with their `NODE_PROPERTIES` alone."""

        def get() -> list["BatchNode"]:
            with self._explained(f"list the nodes of the pool {pool_id}"):
                return list(self.client.list_nodes(pool_id, select=NODE_PROPERTIES))

        return self._settled(pool_id, get)

    def disable_node(self, pool_id: str, node_id: str) -> bool:
        """Lets a node take no more tasks; those that run on it end there. False: it takes none as it is, or is gone.

        https://learn.microsoft.com/rest/api/batchservice/nodes/disable-node-scheduling
        """
        from azure.batch import models

        options = models.BatchNodeDisableSchedulingOptions(
            node_disable_scheduling_option=models.BatchNodeDisableSchedulingOption.TASK_COMPLETION
        )
        try:
            with self._explained(f"disable scheduling on the node {node_id} of the pool {pool_id}"):
                self.client.disable_node_scheduling(pool_id, node_id, options)
        except BatchError as e:
            if e.status in (404, 409):
                return False
            raise
        return True

    def enable_node(self, pool_id: str, node_id: str) -> bool:
        """Lets a node take tasks again. False: it does, or is gone.

        https://learn.microsoft.com/rest/api/batchservice/nodes/enable-node-scheduling
        """
        try:
            with self._explained(f"enable scheduling on the node {node_id} of the pool {pool_id}"):
                self.client.enable_node_scheduling(pool_id, node_id)
        except BatchError as e:
            if e.status in (404, 409):
                return False
            raise
        return True

    def node_file(self, pool_id: str, node_id: str, name: str) -> bytes | None:
        """A file of a node, such as startup/stderr.txt. None if it, or the node, is gone."""
        try:
            with self._explained(f"read {name} of the node {node_id}"):
                return b"".join(self.client.download_node_file(pool_id, node_id, name))
        except BatchError as e:
            if e.status in (404, 409):
                return None
            raise
