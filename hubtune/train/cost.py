"""What a training costs: speed, operations and memory, and by codecarbon energy and CO2, without a network.

If the processor does not tell its energy, codecarbon estimates it; the record says what was measured and what was
estimated.
"""

import logging
import resource
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hubtune.errors import ConfigError
from hubtune.records.base import Record
from hubtune.records.results import CostRecord

if TYPE_CHECKING:
    from codecarbon.output_methods.emissions_data import EmissionsData

# Forward and backward pass through frozen weights cost 4 floating-point operations a weight and token, and 6 where the
# weights themselves are trained: Kaplan et al., "Scaling Laws for Neural Language Models" (2020), appendix B.
FROZEN, TRAINED = 4, 6
_OPERATIONS = "4 operations per frozen weight and 6 per trained weight for each token (Kaplan et al., 2020)"
_INSTALL = 'codecarbon is not installed: pip install "hubtune[cost]"'
_SECONDS = 15
# How codecarbon knows what a processor takes, by its own names.
_METERED = {"intel_rapl": "RAPL", "intel_power_gadget": "Intel Power Gadget", "windows_emi": "Windows EMI"}
_ESTIMATED = {
    "cpu_load": "estimated from its load and the power that its model is designed for",
    "constant": "estimated as a constant share of the power that its model is designed for",
}


def unassessed(country: str | None) -> str | None:
    """Returns why energy is not assessed; None if it can be."""
    if country is None:
        return "train.country is not set"
    return None if find_spec("codecarbon") is not None else _INSTALL


def check_country(country: str) -> str:
    """Returns the name of a country by what codecarbon knows of its electricity.

    Raises:
        ConfigError: It knows nothing of it, and would take the world's mean.
    """
    from codecarbon.input import DataSource

    known: dict[str, dict[str, Any]] = DataSource().get_global_energy_mix_data()
    if country not in known:
        raise ConfigError(
            f"codecarbon has no data about the electricity of {country}, which `train.country` names.",
            hint="Write the three letters of ISO 3166-1 for the country, such as FRA or USA.",
        )
    return str(known[country]["country_name"])


class Spent(Record):
    """What a training has taken so far, before it was resumed and since.

    Attributes:
        seconds: Wall time of the training loop.
        energy: In kWh; None if it was not metered.
        co2: Grams of CO2 equivalent; None likewise.
        method: How the energy is known, or why it is not.
        estimated: Whether part of it is an estimate.
    """

    seconds: float = 0.0
    energy: float | None = None
    co2: float | None = None
    method: str = "the training ended before it was metered"
    estimated: bool | None = None

    def after(self, before: "Spent") -> "Spent":
        """Returns what this part and an earlier part have taken together; without both, energy is not assessed."""
        if not before.seconds:
            return self
        metered = self.energy is not None and before.energy is not None
        if not metered:
            method = self.method if self.energy is None else before.method
            return Spent(seconds=before.seconds + self.seconds, method=method)
        return self.model_copy(
            update={
                "seconds": before.seconds + self.seconds,
                "energy": (before.energy or 0.0) + (self.energy or 0.0),
                "co2": (before.co2 or 0.0) + (self.co2 or 0.0),
                "estimated": bool(self.estimated or before.estimated),
            }
        )


class _Kept:
    """Takes what codecarbon would write into a file."""

    total: "EmissionsData | None" = None

    def out(self, total: "EmissionsData", _delta: "EmissionsData") -> None:
        self.total = total

    def live_out(self, _total: "EmissionsData", _delta: "EmissionsData") -> None:
        pass

    def task_out(self, _data: object, _experiment: str) -> None:
        pass

    def exit(self) -> None:
        pass


class EnergyMeter:
    """codecarbon's tracker, which uses no network and leaves no file.

    Args:
        country: Whose electricity is used.
    """

    def __init__(self, country: str) -> None:
        logging.getLogger("codecarbon").setLevel(logging.ERROR)
        from codecarbon import OfflineEmissionsTracker

        self._kept = _Kept()
        # What a configuration file of codecarbon's could turn on is turned off by name.
        self._tracker = OfflineEmissionsTracker(
            country_iso_code=country,
            tracking_mode="machine",
            measure_power_secs=_SECONDS,
            allow_multiple_runs=True,
            log_level="error",
            output_methods=[],
            output_handlers=[self._kept],
            emissions_endpoint=None,
            electricitymaps_api_token="",
        )
        self._tracker.start()

    def read(self, seconds: float) -> Spent:
        """Returns what has been spent since the start, which is `seconds` ago."""
        self._tracker.flush()
        total = self._kept.total
        if total is None:
            return Spent(seconds=seconds, method="codecarbon measured nothing")
        method, estimated = self._method()
        return Spent(
            seconds=seconds,
            energy=float(total.energy_consumed),
            co2=1000 * float(total.emissions),
            method=method,
            estimated=estimated,
        )

    def stop(self) -> None:
        """Ends it."""
        self._tracker.stop()

    def _method(self) -> tuple[str, bool]:
        parts, estimated = [], False
        for part in getattr(self._tracker, "_hardware", []):
            kind, mode = type(part).__name__, getattr(part, "_mode", None)
            if kind == "GPU":
                parts.append("GPU measured by its driver")
            elif kind == "RAM":
                parts.append("memory estimated from its size")
                estimated = True
            elif mode in _METERED:
                parts.append(f"processor measured by {_METERED[mode]}")
            elif kind == "AppleSiliconChip":
                parts.append("chip measured by powermetrics")
            else:
                parts.append(f"processor {_ESTIMATED.get(str(mode), 'estimated')}")
                estimated = True
        whole = "of the whole machine" if parts else "by means that it does not tell"
        return f"codecarbon {metadata.version('codecarbon')}, {whole}: {'; '.join(parts)}", estimated


def cost_record(spent: Spent, weights: tuple[int, int], tokens: int, country: str | None) -> CostRecord:
    """Returns the record of what a training has cost.

    Args:
        spent: What it took.
        weights: How many weights are trained, and how many there are.
        tokens: Tokens that the model read.
        country: Where it was trained.
    """
    trained, total = weights
    return CostRecord(
        tokens_per_second=round(tokens / max(spent.seconds, 1e-6), 1),
        operations=float((FROZEN * (total - trained) + TRAINED * trained) * tokens),
        operations_method=_OPERATIONS,
        peak_memory=peak_memory(),
        device_peak_memory=device_peak_memory(),
        energy=spent.energy,
        energy_method=spent.method,
        energy_estimated=spent.estimated,
        co2=spent.co2,
        country=None if spent.co2 is None else country,
    )


def peak_memory() -> int:
    """Returns the most main memory that this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def device_peak_memory() -> int | None:
    """Returns the most memory that torch has reserved on one accelerator, in bytes; None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    return max(int(torch.cuda.max_memory_reserved(number)) for number in range(torch.cuda.device_count()))
