"""Autoscale formulas: the language by itself, without a pool, a clock or a service.

`parse(formula)` checks a formula's size and syntax; `evaluate(formula, surroundings)` runs it on a pool's targets and
samples. Both raise nothing but `AutoscaleError`, which knows the service's error code and the place in the formula.

`grammar` is the syntax, `values` the types, `operators` and `functions` are the documented tables, `samples` is what
the methods of a metric look at, `interpreter` walks the tree.
https://learn.microsoft.com/azure/batch/batch-automatic-scaling
"""

from .errors import AutoscaleError
from .grammar import parse
from .interpreter import Outcome, Surroundings, evaluate, results
from .samples import PERIOD, History, Sample

__all__ = [
    "PERIOD",
    "AutoscaleError",
    "History",
    "Outcome",
    "Sample",
    "Surroundings",
    "evaluate",
    "parse",
    "results",
]
