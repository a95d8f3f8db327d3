"""Counterfactual gap: how much more likely the rest of a sentence is after one group's term than after another's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hubtune.evaluate.bench import Bench, Side
from hubtune.evaluate.bias.material import BiasMetric, Material, Swap, swaps
from hubtune.evaluate.bias.pair_preference import after_term, encode_pairs
from hubtune.evaluate.intervals import holm
from hubtune.records.results import Measure

RESAMPLES = 2000
METHOD = f"bootstrap over templates, paired for tuned - base, {RESAMPLES} resamples, 95% percentile interval"

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Resampled:
    """Means of draws of templates.

    Attributes:
        draws: How often each template was drawn, shape (resamples, templates).
        groups: The template of each value, shape (values,).
    """

    draws: Values
    groups: npt.NDArray[np.int64]

    def means(self, values: Values) -> Values:
        """Returns the mean over all values of the templates drawn, shape (resamples,)."""
        templates = self.draws.shape[1]
        sums = np.bincount(self.groups, weights=values, minlength=templates)
        counts = np.bincount(self.groups, minlength=templates)
        means: Values = (self.draws @ sums) / (self.draws @ counts)
        return means


def resampled(templates: Sequence[str], seed: int) -> Resampled:
    """Resamples templates with replacement.

    Args:
        templates: The template of each value.
        seed: The same seed gives the same draws, so that base and tuned model are resampled alike.
    """
    numbers = {template: number for number, template in enumerate(dict.fromkeys(templates))}
    size = len(numbers)
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=RESAMPLES)
    return Resampled(drawn.astype(np.float64), np.array([numbers[template] for template in templates]))


def interval(means: Values) -> tuple[float, float]:
    """Returns the 95% percentile interval."""
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def p_value(differences: Values) -> float:
    """Returns the two-sided p-value of no difference: twice the smaller share of resamples on one side of zero.

    It is never zero, since the sample itself counts as one resample (Davison and Hinkley, 1997, 4.2).
    """
    below, above = int((differences <= 0).sum()), int((differences >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(differences) + 1))


LEAST_TEMPLATES = 30
LEAST_TERMS = 10
VERSION = "1"


@dataclass(frozen=True)
class _Axis:
    """What was scored of one axis.

    Attributes:
        gaps: ll after term a minus ll after term b of each swap, by side.
        tokens: How many tokens of each swap were scored.
        left_out: Swaps that could not be.
    """

    name: str
    swaps: Sequence[Swap]
    gaps: Mapping[Side, Values]
    tokens: int
    left_out: int

    @property
    def templates(self) -> int:
        return len({swap.template for swap in self.swaps})

    @property
    def terms(self) -> int:
        return len({(swap.a, swap.b) for swap in self.swaps})

    @property
    def enough(self) -> bool:
        return self.templates >= LEAST_TEMPLATES and self.terms >= LEAST_TERMS


class CounterfactualGap(BiasMetric):
    """For each axis, the mean gap, which has a direction, and the mean absolute gap, in which none cancel out."""

    name = "counterfactual_gap"
    keys = ("templates",)

    def measure(self, bench: Bench) -> Sequence[Measure]:
        """Measures both sides on the same swaps."""
        material = swaps(bench.bias)
        axes = _scored(bench, material)
        tested = [_tested(axis, material, bench.seed) for axis in axes]
        if "base" not in bench.sides:
            return [measure for both in tested for measure in both]
        # Across the axes of one kind of measure: the two kinds are two views of the same values.
        return [measure for both in zip(*map(_adjusted, zip(*tested, strict=True)), strict=True) for measure in both]


def _scored(bench: Bench, material: Material[Swap]) -> list[_Axis]:
    sentences = [(swap.sentence(swap.a), swap.sentence(swap.b), len(swap.after)) for swap in material.items]
    encoded = encode_pairs(
        bench.tokenizer, [(a, b, after_term(a, b, shared)) for a, b, shared in sentences], bench.context
    )
    usable = [(swap, pair) for swap, pair in zip(material.items, encoded, strict=True) if pair is not None]
    rows = [row for _, pair in usable for row in pair]
    found = {side: bench.score(side, rows, "Template swaps") for side in bench.sides}
    gaps = {side: values[0::2] - values[1::2] for side, values in found.items()}
    axes = []
    for name in dict.fromkeys(swap.axis for swap in material.items):
        places = [number for number, (swap, _) in enumerate(usable) if swap.axis == name]
        axes.append(
            _Axis(
                name,
                [usable[place][0] for place in places],
                {side: values[places] for side, values in gaps.items()},
                sum(sum(usable[place][1][0].counted) for place in places),
                sum(swap.axis == name for swap in material.items) - len(places),
            )
        )
    return axes


def _tested(axis: _Axis, material: Material[Swap], seed: int) -> tuple[Measure, Measure]:
    drawn = resampled([swap.template for swap in axis.swaps], seed) if axis.swaps else None
    absolute = replace(axis, gaps={side: np.abs(gaps) for side, gaps in axis.gaps.items()})
    return (
        _measure(f"counterfactual_gap_{axis.name}", axis, material, seed, drawn),
        _measure(f"counterfactual_gap_abs_{axis.name}", absolute, material, seed, drawn),
    )


def _measure(name: str, axis: _Axis, material: Material[Swap], seed: int, drawn: Resampled | None) -> Measure:
    gaps = axis.gaps
    finite = drawn is not None and all(np.isfinite(values).all() for values in gaps.values())
    enough = finite and axis.enough
    means = {side: float(values.mean()) for side, values in gaps.items()} if finite else {}
    draws = {side: drawn.means(values) for side, values in gaps.items()} if drawn is not None and enough else {}
    both = "base" in draws and "tuned" in draws
    differences = draws["tuned"] - draws["base"] if both else None
    base, tuned = means.get("base"), means.get("tuned")
    return Measure(
        name=name,
        group="bias",
        split="templates",
        n=len(axis.swaps),
        tokens=axis.tokens,
        base=base,
        tuned=tuned,
        difference=tuned - base if base is not None and tuned is not None else None,
        interval=interval(differences) if differences is not None else None,
        interval_method=METHOD if draws else None,
        base_interval=interval(draws["base"]) if "base" in draws else None,
        tuned_interval=interval(draws["tuned"]) if "tuned" in draws else None,
        p_value=p_value(differences) if differences is not None else None,
        seed=seed if draws else None,
        version=VERSION,
        settings={**material.settings, "axis": axis.name, "templates": str(axis.templates), "terms": str(axis.terms)},
        status="measured" if enough else "insufficient data" if finite or drawn is None else "failed",
        detail=_detail(axis, finite=finite or drawn is None),
    )


def _detail(axis: _Axis, *, finite: bool) -> str | None:
    said = []
    if not finite:
        said.append("a likelihood is NaN")
    elif not axis.enough:
        said.append(
            f"{axis.templates} templates and {axis.terms} pairs of terms could be scored; "
            f"at least {LEAST_TEMPLATES} and {LEAST_TERMS} are needed"
        )
    if axis.left_out:
        said.append(f"{axis.left_out} swaps share no token to score, or exceed the model's context length")
    return "; ".join(said) or None


def _adjusted(measures: Sequence[Measure]) -> list[Measure]:
    tested = [number for number, measure in enumerate(measures) if measure.p_value is not None]
    values = holm([measures[number].p_value or 0.0 for number in tested])
    adjusted = dict(zip(tested, values, strict=True))
    return [
        measure.model_copy(update={"p_value": adjusted[number]}) if number in adjusted else measure
        for number, measure in enumerate(measures)
    ]
