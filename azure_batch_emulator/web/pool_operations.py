"""Pools, nodes, supported images."""

from ..core import lists, pools, scaling, views
from ..core.machine import Machine
from .call import Call, Reply


def create_pool(call: Call) -> Reply:
    pool = call.engine.call(pools.create, call.body)
    return call.stamped(pool, Location=f"{call.base}/pools/{pool.id}")


def get_pool(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        pool = m.pool(call.path["poolId"])
        call.check(pool)
        return call.item(views.pool(pool, call.base), "pools", pool)

    return call.engine.call(read)


def pool_exists(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        pool = m.pool(call.path["poolId"])
        call.check(pool)
        return call.stamped(pool)

    return call.engine.call(read)


def list_pools(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        return call.listing(sorted(m.pools.items()), lists.POOLS, lambda p: views.pool(p, call.base), "pools")

    return call.engine.call(read)


def _change(change):
    """A handler that finds the pool, holds the conditions against it, and changes it."""

    def handler(call: Call) -> Reply:
        def stimulus(m: Machine) -> Reply:
            pool = m.pool(call.path["poolId"])
            call.check(pool)
            change(m, pool, call)
            return call.stamped(pool)

        return call.engine.call(stimulus)

    return handler


update_pool = _change(lambda m, pool, call: pools.update(m, pool, call.body))
replace_pool_properties = _change(lambda m, pool, call: pools.replace_properties(m, pool, call.body))
resize_pool = _change(lambda m, pool, call: pools.resize(m, pool, call.body))
stop_pool_resize = _change(lambda m, pool, call: pools.stop_resize(m, pool))
remove_nodes = _change(lambda m, pool, call: pools.remove_nodes(m, pool, call.body))

enable_pool_auto_scale = _change(lambda m, pool, call: scaling.enable(m, pool, call.body))
disable_pool_auto_scale = _change(lambda m, pool, call: scaling.disable(m, pool))


def evaluate_pool_auto_scale(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        run = scaling.try_formula(m, m.pool(call.path["poolId"]), call.body["autoScaleFormula"])
        kind = "Microsoft.Azure.Batch.Protocol.Entities.AutoScaleRun"
        return Reply({"odata.metadata": f"{call.base}/$metadata#{kind}"} | views.scaling_run(run))

    return call.engine.call(read)


def delete_pool(call: Call) -> Reply:
    def stimulus(m: Machine) -> Reply:
        pool = m.pool(call.path["poolId"])
        call.check(pool)
        pools.delete(m, pool)
        return Reply()

    return call.engine.call(stimulus)


def list_pool_node_counts(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        return call.listing(sorted(m.pools.items()), lists.NODE_COUNTS, views.node_counts, "poolnodecounts")

    return call.engine.call(read)


def list_supported_images(call: Call) -> Reply:
    rows = [(f"{i:05}", image) for i, image in enumerate(call.engine.catalogue.images)]
    return call.listing(rows, lists.IMAGES, lambda image: image, "supportedimages")


def list_nodes(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        rows = sorted(m.pool(call.path["poolId"]).nodes.items())
        return call.listing(rows, lists.NODES, lambda n: views.node(m, n, call.base), "nodes")

    return call.engine.call(read)


def get_node(call: Call) -> Reply:
    def read(m: Machine) -> Reply:
        return call.item(views.node(m, m.node(call.path["poolId"], call.path["nodeId"]), call.base), "nodes")

    return call.engine.call(read)
