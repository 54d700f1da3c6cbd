"""The shapes of work that the emulator's core is measured with."""

from dataclasses import replace

import pytest

from misc.bench.shapes import SHAPES, cost


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_all_tasks_of_a_shape_succeed(shape):
    few = replace(shape, nodes=min(shape.nodes, 20))
    if few.pool and "autoScaleFormula" in few.pool:
        formula = f"$TargetDedicatedNodes = {few.nodes};"
        few = replace(few, pool=few.pool | {"autoScaleFormula": formula})
    assert cost(few, 300) >= 0
