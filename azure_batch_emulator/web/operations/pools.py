"""Pools."""

from ...core.machine import Machine
from ...core.pools import pools, scaling
from ...core.views import lists, statistics, views
from ..call import Call, Reply
from .resources import Resource

_POOL = Resource(
    lambda m, path: m.pool(path["poolId"]),
    lambda m, pool, call: views.pool(pool, call.base),
    "pools",
    statistics.of_pool,
)


def create_pool(call: Call) -> Reply:
    pool = call.engine.call(pools.create, call.body)
    url = f"{call.base}/pools/{pool.id}"
    return call.stamped(pool, Location=url, DataServiceId=url)


get_pool = _POOL.get
pool_exists = _POOL.exists
list_pools = _POOL.listing(lambda m, call: sorted(m.pools.items()), lists.POOLS)
update_pool = _POOL.change(lambda m, pool, call: pools.update(m, pool, call.body))
replace_pool_properties = _POOL.change(lambda m, pool, call: pools.replace_properties(m, pool, call.body))
resize_pool = _POOL.change(lambda m, pool, call: pools.resize(m, pool, call.body))
stop_pool_resize = _POOL.change(lambda m, pool, call: pools.stop_resize(m, pool))
remove_nodes = _POOL.change(lambda m, pool, call: pools.remove_nodes(m, pool, call.body))
enable_pool_auto_scale = _POOL.change(lambda m, pool, call: scaling.enable(m, pool, call.body))
disable_pool_auto_scale = _POOL.change(lambda m, pool, call: scaling.disable(m, pool))
delete_pool = _POOL.deletion(pools.delete)


def evaluate_pool_auto_scale(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        run = scaling.try_formula(m, m.pool(call.path["poolId"]), call.body["autoScaleFormula"])
        kind = "Microsoft.Azure.Batch.Protocol.Entities.AutoScaleRun"
        return Reply({"odata.metadata": f"{call.base}/$metadata#{kind}"} | views.scaling_run(run))

    return call.engine.read(read)


def list_pool_node_counts(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        return call.listing(sorted(m.pools.items()), lists.NODE_COUNTS, views.node_counts, "poolnodecounts")

    return call.engine.read(read)
