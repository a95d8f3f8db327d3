"""The module from which plugins written for hubtune 0.1 import `Measure`."""

from hubtune.records.results import Measure as Measure
