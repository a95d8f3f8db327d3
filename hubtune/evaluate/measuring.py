"""The module from which plugins written for hubtune 0.1 import `measure_of`."""

from hubtune.evaluate.intervals import measure_of

__all__ = ["measure_of"]
